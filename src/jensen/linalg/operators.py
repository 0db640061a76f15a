"""Symmetric maps made of others. All that is asked of one is ``n``, ``dtype``, ``device`` and ``map @ block``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from jensen.errors import Misuse


class Wrapped:
    """A map with the size, type and place of another."""

    def __init__(self, inner: Any):
        self.inner = inner
        self.n, self.dtype, self.device = int(inner.n), inner.dtype, torch.device(inner.device)


class Counted(Wrapped):
    """The same map, counting the columns it was multiplied with."""

    products = 0

    def __matmul__(self, block: Tensor) -> Tensor:
        self.products += block.shape[1] if block.dim() == 2 else 1
        image = self.inner @ block
        if not isinstance(image, Tensor) or image.shape != block.shape:
            got = f"a tensor of shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise Misuse(
                f"the map gave {got} for a tensor of shape {tuple(block.shape)}; map @ block must be one like it"
            )
        return image


class Deflated(Wrapped):
    """P H P, where P projects away the orthonormal columns of ``vectors`` (n, k), and ``level`` times the identity there.

    Rounding leaks into the deflated space; a level inside the spectrum keeps what leaks from looking like an end of it.
    """

    def __init__(self, inner: Any, vectors: Tensor, level: float = 0.0):
        super().__init__(inner)
        self.vectors, self.level = vectors, level

    def project(self, block: Tensor) -> Tensor:
        """The block (n, b) without its part along the vectors."""
        if not self.vectors.shape[1]:
            return block
        return block - self.vectors @ (self.vectors.T @ block)

    def __matmul__(self, block: Tensor) -> Tensor:
        kept = self.project(block)
        image = self.project(self.inner @ kept)
        return image + self.level * (block - kept) if self.level else image


class Dense(Wrapped):
    """A matrix as a map."""

    def __init__(self, matrix: Tensor):
        self.matrix = matrix
        self.n, self.dtype, self.device = matrix.shape[0], matrix.dtype, matrix.device

    def __matmul__(self, block: Tensor) -> Tensor:
        return self.matrix @ block


def draw(operator: Any, columns: int, *seed: int) -> Tensor:
    """Standard normal numbers (n, columns), the same for the same seeds on every device."""
    state = 0
    for s in seed:
        state = (state * 1_000_003 + s + 1) % (2**63 - 1)
    generator = torch.Generator().manual_seed(state)
    block = torch.randn((operator.n, columns), generator=generator, dtype=torch.float64)
    return block.to(device=operator.device, dtype=operator.dtype)
