"""The Hessian of a cost at one point, as a linear map on flat vectors or blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from jensen import drift
from jensen.ambient import differentiable
from jensen.ask.curvature import modes
from jensen.ask.curvature.checking import TOLERANCE
from jensen.ask.curvature.modes import Options
from jensen.ask.curvature.pieces import Point
from jensen.ask.curvature.products import Products
from jensen.ask.curvature.report import Report
from jensen.ask.curvature.shards import Shard, processes, shard, together
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg import linear_memory
from jensen.linalg.devices import device_of
from jensen.linalg.flat import Flat
from jensen.parts import FunctionPart
from jensen.trace import trace

Of = str | Iterable[str] | None
DENSE = 20_000  # rows of a dense Hessian, at most
DOUBLE, SINGLE, TF32 = 1e-6, 1e-4, 1e-2  # of J, by which it may differ from the program's; where it cancels by more


@differentiable()
def hessian(
    cost: Cost,
    at: Mapping[str, Tensor] | None = None,
    of: Of = None,
    mode: str | None = None,
    width: int | None = None,
    compiled: bool | None = None,
    memory: int | None = None,
    device: Any = None,
    dtype: torch.dtype | None = None,
    tf32: bool = False,
    shard: Shard | str | None = None,
) -> Hessian:
    """The Hessian of J at one point, linearised once and applied to many vectors.

    Args:
        cost: The cost; its parameters are read now.
        at: Values of blocks; missing ones keep their current values.
        of: A pattern or several: the blocks that move; the others are held. All by default.
        mode: "kept" (what does not depend on the vector is held), "recomputed" (per chunk, in every product) or
            "reverse" (double backward); by default kept while it fits the memory.
        width: Columns taken at once; by default measured.
        compiled: Whether torch.compile runs the map; off by default.
        memory: A budget in bytes. On the CPU it is for what the process grows by: the capture of the cost, what is kept, the
            work, the first check; of several columns, the vectors given (and a copy of them) and the products returned
            come beside it. By default most of what is free.
        device: Where to compute, "cpu" or "cuda"; the CPU by default.
        dtype: torch.float64 or torch.float32; the cost's own by default.
        tf32: Let CUDA devices multiply float32 matrices in TF32; the error is measured and reported.
        shard: Under torch.distributed: "own" data in each process, or "replicated"; by default found out.

    Raises:
        Misuse: Where J has no derivative that torch and the cost agree on, or its gradient is not finite.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    ask = partial(_linearised, cost, at, of, modes.Options(mode, width, compiled, memory, tf32), device, dtype, shard)
    found = ask()
    if not _agrees(found):  # what a function reads has changed since the cost was captured
        cost._programs.clear()
        found = ask()
        if not _agrees(found):
            raise Misuse(
                f"the captured program gives {found.value!r} at this point, the cost {_value(found)!r}: state that changes "
                f"from one evaluation to the next, or numbers so near to overflow that rounding decides"
            )
    return found


def _linearised(
    cost: Cost, at: Any, of: Of, options: Options, device: Any, dtype: torch.dtype | None, shard: Shard | str | None
) -> Hessian:
    with together(shard.processes if isinstance(shard, Shard) else processes()):
        options = modes.checked(replace(options, before=linear_memory.resident()))
        point = _point(cost, at, of, device_of(device), dtype)
        if options.tf32 and (point.device.type != "cuda" or point.dtype != torch.float32):
            raise Misuse(
                "tf32 is for float32 on a CUDA device: give device='cuda', dtype=torch.float32, or leave it out"
            )
    return Hessian(point, options, shard)


def _agrees(operator: Hessian) -> bool:
    """Whether J is the cost's own at the point, where that is soon known: data on disk is not read again for it."""
    point, cost = operator.point, operator.point.cost
    if cost.streamed or (point.device.type != "cpu" and drift.work(cost) > drift.WORK):
        return True
    single = torch.float32 in (point.dtype, cost.dtype)
    close, unit = SINGLE if single else DOUBLE, 64 * torch.finfo(torch.float32 if single else torch.float64).eps
    close = TF32 if operator.options.tf32 else close
    want, noise = _value(operator), 0.0
    if abs(operator.value - want) > unit * abs(want):
        noise = max(abs(_value(operator, s * unit) - want) for s in (-3.0, -1.0, 1.0, 3.0))
    wrong = abs(operator.value - want) > close * abs(want) + 100 * noise
    return not bool(operator.shard.first(torch.tensor([float(wrong)], device=operator.device))[0])


def _value(operator: Hessian, shift: float = 0.0) -> float:
    """The cost's own value of all data, the parameters moved in proportion."""
    theta = {n: t.to("cpu") * (1 + shift) for n, t in operator.point.theta.items()}
    with torch.no_grad():
        value = operator.point.cost({n: theta[n] for n in operator.point.cost.blocks}).double()
    return float(operator.shard.whole(value.to(operator.device)))


def _point(cost: Cost, at: Any, of: Of, device: torch.device, dtype: torch.dtype | None) -> Point:
    values = _values(cost, at, device, _dtype(cost, dtype))
    asked, traced = cost.match(of), trace(cost)
    return Point(cost, values, asked, "hessian", traced, traced.modes)


def _values(cost: Cost, at: Any, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    values = cost._values(at)
    return {n: values[n].detach().to(device, dtype, copy=True).contiguous() for n in cost.blocks}


def _dtype(cost: Cost, dtype: torch.dtype | None) -> torch.dtype:
    dtype = cost.dtype if dtype is None else dtype
    if dtype not in TOLERANCE:
        raise Misuse(f"dtype {dtype} is not supported; use torch.float64 or torch.float32")
    return dtype


class Hessian:
    """A symmetric linear map; ``H @ V`` takes (n,) or (n, k) tensors or arrays, or a dict of blocks (with one trailing
    axis for columns), and answers in the same form. Of several processes, the first one's vectors are taken.

    Attributes:
        n: Entries of all asked blocks, in the order of ``cost.blocks``; ``shape`` is (n, n).
        value: J at the point.
        gradient: Its gradient in the asked blocks, flat, shape (n,).
        products: How many columns the operator has been applied to.
    """

    @differentiable()
    def __init__(self, point: Point, options: Options, share: Shard | str | None):
        self.point, self.options = point, options
        self.flat = Flat({n: tuple(point.theta[n].shape) for n in point.asked})
        self.n, self.dtype, self.device = self.flat.n, point.dtype, point.device
        self.shape = (self.n, self.n)
        self.products = 0
        self.shard = share if isinstance(share, Shard) else shard(point.cost, point.theta, share, point.asked)
        key = (point.asked, point.part, self.dtype, self.device)
        self._products = Products(
            point, self.flat, options, self.shard.owned(len(point.terms)), self.shard.scale,
            modes.remembered(point.cost, key), options.memory or linear_memory.available(self.device),
        )  # fmt: skip
        with together(self.shard.processes):
            self._refuse()
            value, gradient = self._products.start()
        self.value, self.gradient = float(self.shard.add(value)), self.shard.add(gradient)
        if not (math.isfinite(self.value) and torch.isfinite(self.gradient).all()):
            raise Misuse(self._not_finite())

    def _refuse(self) -> None:
        cut = [n for n in self.point.asked if n in self.point.traced.detached]
        if cut:
            raise Misuse(
                f"torch's gradient in {', '.join(cut)} is not the derivative of J (detach, no_grad or a custom backward "
                f"pass): ask about other blocks with of=..., or take that out of the cost"
            )
        if self.point.part != "hessian" and isinstance(self.point.cost._private, FunctionPart):
            raise Misuse("Cost.of has no model whose output could be cut; make the cost with Cost(model, loss, data)")

    def _not_finite(self) -> str:
        if not math.isfinite(self.value):
            return f"J is {self.value} at this point, so it has no curvature there; give another point with at={{...}}"
        bad = [n for n, g in self.unflatten(self.gradient).items() if not torch.isfinite(g).all()]
        return (
            f"the gradient in {bad[0]} is not finite at this point: J has no derivative there (a root or a norm at "
            f"zero, an overflow); give another point with at={{...}}"
        )

    @differentiable()
    def __matmul__(self, v: Any) -> Any:
        return self.flat.through(self._columns, v, self.dtype, self.device)

    def _columns(self, v: Tensor) -> Tensor:
        rows = self.shard.first(v.T.contiguous())
        rows = rows.clone() if rows.is_inference() else rows  # graphs may write over what they are given
        if self.products:
            out = self._products.apply(rows)
        else:  # maps are checked at their first use
            with together(self.shard.processes):
                out = self._products.apply(rows)
        self.products += v.shape[1]
        return self.shard.add(out).T

    def flatten(self, values: Mapping[str, Tensor]) -> Tensor:
        """Blocks as one flat vector (n,), or (n, k) where they have a trailing axis of columns."""
        return self.flat.join(values).to(self.device, self.dtype)

    def unflatten(self, vector: Tensor) -> dict[str, Tensor]:
        """A flat vector (n,) or columns (n, k) as blocks."""
        return self.flat.split(vector)

    def restrict(self, of: str | Iterable[str]) -> Hessian:
        """The same matrix on fewer blocks, linearised in these alone.

        Raises:
            Misuse: Where a pattern matches no block of this operator.
        """
        names = self.point.cost.match(of)
        out = [n for n in names if n not in self.point.asked]
        if out:
            raise Misuse(f"{out[0]!r} is not a block of this operator; its blocks are {', '.join(self.point.asked)}")
        return self._other(names, self.point.part)

    @cached_property
    def gauss_newton(self) -> Hessian:
        """J' H_L J: the loss's Hessian at the model's output, through the model's Jacobian; the penalty not counted."""
        return self._other(self.point.asked, "gauss-newton")

    @cached_property
    def residual(self) -> Hessian:
        """The Hessian less its Gauss-Newton part: the curvature of the network itself, and of the penalty."""
        return self._other(self.point.asked, "residual")

    def _other(self, names: tuple[str, ...], part: str) -> Hessian:
        return Hessian(
            replace(self.point, asked=names, part=part),
            replace(self.options, before=linear_memory.resident()),
            self.shard,
        )

    def dense(self) -> Tensor:
        """The whole matrix, shape (n, n).

        Raises:
            Misuse: For more than 20,000 parameters.
        """
        if self.n > DENSE:
            raise Misuse(f"a dense matrix of {self.n} rows is too large; use products, spectrum, or H.restrict(...)")
        return self @ torch.eye(self.n, dtype=self.dtype, device=self.device)

    def to_scipy(self) -> Any:
        """The operator as a scipy.sparse.linalg.LinearOperator on numpy arrays."""
        from scipy.sparse.linalg import LinearOperator

        kind = torch.empty(0, dtype=self.dtype).numpy().dtype
        maps = dict.fromkeys(("matvec", "matmat", "rmatvec", "rmatmat"), self.__matmul__)
        return LinearOperator(shape=self.shape, dtype=kind, **maps)  # pyright: ignore[reportCallIssue]

    @property
    def report(self) -> Report:
        """How the products are computed, measured and checked, so far."""
        p = self._products
        width = self.options.width if self.options.width is not None else p.choice.width
        return Report(
            self.point.part, p.mode, len(p.kept), len(p.owned), width, p.maps.compiled(),
            {"kept": p.size, "working": p.working, "budget": p.budget}, p.seconds | p.choice.seconds,
            tuple(dict(c.__dict__) for c in p.checks), p.tf32_error,
            None if self.shard.processes == 1 else f"{self.shard.kind}, {self.shard.processes} processes",
            str(self.dtype), str(self.device), tuple(p.notes), p.maps.graphs,
        )  # fmt: skip

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise Misuse(
            "a Hessian holds graphs that cannot be pickled or copied: keep the cost and the point instead, and make it again "
            "with jensen.hessian(cost, at=...)"
        )

    def __repr__(self) -> str:
        return f"Hessian({self.point.part}, n={self.n}, mode={self._products.mode!r}, J={self.value:.6g})"
