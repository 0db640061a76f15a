"""The coordinates of a batch norm in evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from jensen.ask.symmetry.group import Site, Step

Theta = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates in which a batch norm in evaluation mode is a plain scale and bias: its buffers are taken into both.

    Attributes:
        weight, bias: The two blocks, of n entries each.
        mean, rate: The running mean and 1 / sqrt(running variance + epsilon), float64 (n,).
    """

    weight: str
    bias: str
    mean: np.ndarray
    rate: np.ndarray

    def moved(self, steps: tuple[Step, ...], theta: Mapping[str, Tensor]) -> Frame:
        """The coordinates after a move: where the point has the running statistics too, they have moved with their channels."""
        if self.weight.removesuffix("weight") + "running_mean" not in theta:
            return self
        mean, rate = self.mean, self.rate
        for step in steps:
            if step.factor.kind == "permutation":
                for site in (s for s in step.factor.sites if s.block == self.weight):
                    mean, rate = (_permuted(a, site, step.element) for a in (mean, rate))
        return Frame(self.weight, self.bias, mean, rate)

    def to(self, theta: Mapping[str, Tensor]) -> Theta:
        """Blocks -> coordinates."""
        w, (mean, rate) = theta[self.weight], self._like(theta)
        return {**theta, self.weight: w * rate, self.bias: theta[self.bias] - w * rate * mean}

    def back(self, theta: Mapping[str, Tensor]) -> Theta:
        """Coordinates -> blocks."""
        w, (mean, rate) = theta[self.weight], self._like(theta)
        return {**theta, self.weight: w / rate, self.bias: theta[self.bias] + w * mean}

    def _like(self, theta: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        w = theta[self.weight]
        return tuple(torch.from_numpy(a).to(w.dtype).reshape(w.shape) for a in (self.mean, self.rate))  # type: ignore[return-value]


def _permuted(a: np.ndarray, site: Site, element: Tensor) -> np.ndarray:
    out = a.copy()
    out[site.positions] = a[site.positions[element.numpy()]]
    return out
