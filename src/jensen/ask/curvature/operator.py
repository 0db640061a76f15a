"""The Hessian of a cost at one point, as a linear map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.flat import Flat
from jensen.linalg.torch_reading import run
from jensen.trace import trace


def hessian(
    cost: Cost,
    at: Mapping[str, Tensor] | None = None,
    of: str | Iterable[str] | None = None,
    mode: str | None = None,
    width: int | None = None,
    compiled: bool | None = None,
    memory: int | None = None,
    device: Any = None,
    dtype: torch.dtype | None = None,
    tf32: bool = False,
) -> Hessian:
    """The Hessian of J at one point as an operator."""
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    names = cost.match(of)
    traced = trace(cost)
    cut = [n for n in names if n in traced.detached]
    if cut:
        raise Misuse(f"torch's gradient of {cut[0]!r} is not the derivative of J")
    values = {n: t.detach() for n, t in cost._values(at).items() if n in cost.blocks}
    return Hessian(cost, values, names, "hessian")


@dataclass(eq=False)
class Hessian:
    cost: Cost
    at: dict[str, Tensor]
    names: tuple[str, ...]
    part: str
    products: int = 0
    report: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.flat = Flat({n: tuple(self.at[n].shape) for n in self.names})
        self.n = self.flat.n
        self.shape = (self.n, self.n)
        first = self.at[self.names[0]]
        self.dtype, self.device = first.dtype, first.device
        theta, value = self._value()
        self.value = float(value.detach())
        grads = torch.autograd.grad(value, [theta[n] for n in self.names], allow_unused=True, materialize_grads=True)
        self.gradient = self.flatten(dict(zip(self.names, grads, strict=True)))

    def _value(self) -> tuple[dict[str, Tensor], Tensor]:
        theta = {n: t.clone().requires_grad_(n in self.names) for n, t in self.at.items()}
        total: Any = 0
        for term in trace(self.cost).problem.terms:
            total = total + run(term.program, term.tensors, theta) * float(term.weight)
        return theta, total

    def __matmul__(self, other: Any) -> Any:
        return self.flat.through(self._columns, other, self.dtype, self.device)

    def _columns(self, v: Tensor) -> Tensor:
        self.products += v.shape[1]
        theta, value = self._value()
        leaves = [theta[n] for n in self.names]
        grads = torch.autograd.grad(value, leaves, create_graph=True, allow_unused=True, materialize_grads=True)
        g = torch.cat([t.reshape(-1) for t in grads])
        out = []
        for column in v.unbind(1):
            if not g.requires_grad:
                out.append(torch.zeros_like(column))
                continue
            rows = torch.autograd.grad(g, leaves, column, retain_graph=True, allow_unused=True, materialize_grads=True)
            out.append(torch.cat([t.reshape(-1) for t in rows]))
        return torch.stack(out, 1)

    def flatten(self, values: Mapping[str, Tensor]) -> Tensor:
        return self.flat.join(values)

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        return self.flat.split(vector)

    @property
    def gauss_newton(self) -> Hessian:
        raise NotImplementedError

    @property
    def residual(self) -> Hessian:
        raise NotImplementedError

    def restrict(self, of: str | Iterable[str]) -> Hessian:
        return Hessian(self.cost, self.at, self.cost.match(of), self.part)

    def to_scipy(self) -> Any:
        from scipy.sparse.linalg import LinearOperator

        def apply(v: np.ndarray) -> np.ndarray:
            return self @ np.ascontiguousarray(v)

        kind = torch.empty(0, dtype=self.dtype).numpy().dtype
        return LinearOperator(self.shape, matvec=apply, matmat=apply, rmatvec=apply, rmatmat=apply, dtype=kind)

    def dense(self) -> Tensor:
        return self @ torch.eye(self.n, dtype=self.dtype, device=self.device)
