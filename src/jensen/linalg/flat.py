"""Blocks and flat vectors: one order, the blocks', for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.errors import Misuse


@dataclass(frozen=True)
class Flat:
    """Shapes of the blocks, in their order."""

    shapes: Mapping[str, tuple[int, ...]]

    @property
    def n(self) -> int:
        """Entries in all."""
        return sum(prod(s) for s in self.shapes.values())

    def join(self, values: Mapping[str, Tensor]) -> Tensor:
        """Blocks (each of its shape, or with one trailing axis of k columns) as (n,) or (n, k)."""
        if set(values) != set(self.shapes):
            wrong = sorted(set(values) ^ set(self.shapes))
            raise Misuse(f"the blocks differ in {wrong[0]!r}; give one tensor for each of {', '.join(self.shapes)}")
        rows = []
        for name, shape in self.shapes.items():
            t = _tensor(values[name])
            if tuple(t.shape[: len(shape)]) != shape or t.dim() > len(shape) + 1:
                raise Misuse(
                    f"block {name!r} has shape {shape}, the given tensor {tuple(t.shape)}; columns are one last axis"
                )
            rows.append(t.reshape(prod(shape), *t.shape[len(shape) :]))
        if len({r.shape[1:] for r in rows}) > 1:
            raise Misuse("the blocks have different numbers of columns; give all of them the same last axis")
        return torch.cat(rows)

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """(n,) or (n, k) as blocks; views where possible."""
        if vector.dim() not in (1, 2) or vector.shape[0] != self.n:
            raise Misuse(f"a flat vector has shape ({self.n},) or ({self.n}, k), the given one {tuple(vector.shape)}")
        pieces = vector.split([prod(s) for s in self.shapes.values()])
        return {n: p.reshape((*s, *vector.shape[1:])) for (n, s), p in zip(self.shapes.items(), pieces, strict=True)}

    def rows(self, rows: Tensor, width: int) -> list[Tensor]:
        """(k, n) as one (k, *shape) tensor for each block, or (n,) as one of its shape where the width is 0."""
        lead = (width,) if width else ()
        pieces = rows.split([prod(s) for s in self.shapes.values()], -1)
        return [p.reshape((*lead, *s)) for p, s in zip(pieces, self.shapes.values(), strict=True)]

    def through(self, columns: Callable[[Tensor], Tensor], v: Any, dtype: torch.dtype, device: torch.device) -> Any:
        """Apply a map of (n, k) columns to a vector, a matrix, an array or blocks, and answer in the same form."""
        if isinstance(v, Mapping):
            out = self.through(columns, self.join(v), dtype, device)
            return self.split(out)
        if isinstance(v, np.ndarray):
            return self.through(columns, _tensor(v), dtype, device).cpu().numpy()
        if not isinstance(v, Tensor):
            raise Misuse(f"H @ takes tensors, arrays or a dict of blocks, not {type(v).__name__}")
        if v.dim() not in (1, 2) or v.shape[0] != self.n:
            raise Misuse(f"the operator has {self.n} columns; the given tensor has shape {tuple(v.shape)}")
        if v.is_complex():
            raise Misuse("the given vector is complex; apply the operator to its real and imaginary parts")
        v = _tensor(v).detach().to(device=device, dtype=dtype)
        return columns(v.unsqueeze(1)).squeeze(1) if v.dim() == 1 else columns(v)


def _tensor(v: Any) -> Tensor:
    """An array, or what else torch reads, as a tensor."""
    if isinstance(v, Tensor) and v.layout is not torch.strided:
        raise Misuse(f"the operator takes dense tensors, not {v.layout} ones; write .to_dense()")
    try:
        if isinstance(v, np.ndarray):
            # copied where it runs backwards, which torch refuses even along axes of one entry
            v = np.ascontiguousarray(v.copy() if min(v.strides, default=0) < 0 else v).reshape(v.shape)
        return torch.as_tensor(v)
    except (TypeError, ValueError, RuntimeError) as e:
        kind = f"an array of {v.dtype}" if isinstance(v, np.ndarray) else f"a {type(v).__name__}"
        raise Misuse(f"the operator takes numbers, and torch cannot read {kind} ({e}); give an array of floats") from e
