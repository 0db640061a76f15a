"""Groups with few elements: all of them are gone through, so that whether two points are one is always decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import permutations, product
from typing import Any

import torch
from torch import Tensor

MOST = 5_000  # elements
KINDS = ("permutation", "sign", "flip")

Theta = Mapping[str, Tensor]


def small(found: Any) -> bool:
    """Whether an answer of ``jensen.symmetries`` has few elements, all of kinds that can be listed."""
    return found.order <= MOST and all(f.kind in KINDS for f in found.factors)


def apart(found: Any, a: Theta, b: Theta) -> float:
    """The least distance of b to a copy of a."""
    target = _flat(b)
    return min(float((_flat(copy) - target).norm()) for copy in copies(found, a))


def copies(found: Any, theta: Theta) -> Iterator[Theta]:
    """The point moved by every element of the group."""
    for elements in product(*(_elements(f.kind, f.size) for f in found.factors)):
        yield found.move(list(zip(found.factors, elements, strict=True))).act(theta)


@lru_cache(maxsize=32)
def _elements(kind: str, n: int) -> tuple[Tensor, ...]:
    if kind == "permutation":
        return tuple(torch.tensor(p) for p in permutations(range(n)))
    return tuple(torch.tensor(s, dtype=torch.float64) for s in product((1.0, -1.0), repeat=n))


def _flat(theta: Theta) -> Tensor:
    return torch.cat([t.reshape(-1) for t in theta.values()])
