"""The curvature along a training run, watched from inside the training loop at a stated share of its time."""

from __future__ import annotations

import os
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from jensen.ask.curvature.operator import hessian
from jensen.ask.curvature.shadow import Shadow, undisturbed
from jensen.ask.curvature.trajectory import KIND, Trajectory, in_order
from jensen.ask.curvature.warm import Ends
from jensen.ask.curvature.warm import ends as solve
from jensen.cost import Cost, FunctionPart
from jensen.errors import Misuse
from jensen.run.journal import Journal

AT_LEAST = (
    "index: as many negative Ritz values were found, so at least so many eigenvalues are negative; there may be more"
)
EXACT = "index: the basis spans the whole space, so it is exact to rounding"
FIELDS: Mapping[str, Any] = {
    "J": None, "gradient_norm": None, "lowest": (), "highest": (), "index": None, "index_words": "",
    "loss_part": None, "network_part": None, "penalty_part": None, "converged": None, "products": 0, "mode": "", "error": "",
}  # fmt: skip


class WatchWarning(UserWarning):
    """A measurement or its journal failed; training goes on."""


def watch(
    cost: Cost,
    every: int = 100,
    journal: str | PathLike[str] | Journal | None = None,
    share: float | None = 0.1,
    ends: bool = True,
    count: int = 1,
    tolerance: float = 0.02,
    products: int = 100,
    mode: str | None = None,
    run: str | None = None,
    directions: bool = False,
    show: Callable[[Mapping[str, Any]], None] | bool | None = None,
    seed: int = 0,
    **operator: Any,
) -> Watch:
    """Watch a cost while its model is trained; call ``step()`` after each step of the training loop.

    Args:
        cost: The cost; its model's parameters are read live and nothing of the model is changed.
        every: Measure at the multiples of so many steps.
        journal: Where records are kept as they come: a path, or an open journal.
        share: Measuring takes at most this share of the time spent on training; a measurement that would exceed it is
            left out, and the next record says so. The first one is always taken. None: no cap.
        ends: Measure both ends of the Hessian's spectrum, not only J and the gradient.
        count: Eigenvalues at each end.
        tolerance: An eigenvalue's bound is met at this share of its size.
        products: At most so many Hessian products a measurement.
        mode: ``"live"`` looks at the model in the mode it is in, ``"eval"`` in evaluation mode; None: live where J is then
            a function (no dropout), else eval.
        run: The run's name in its journal; a name that is there already is continued.
        directions: Keep the most negative direction of each measurement in the journal's tensor files.
        show: Called with each record; None draws a line where stderr is a terminal, False never.
        seed: For the random part of the first start vectors; the global random states are not touched.
        operator: Passed to :func:`jensen.hessian` (device, width, memory, ...).

    Raises:
        Misuse: For settings that cannot be used.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    for name, value in (("every", every), ("count", count), ("products", products)):
        if not isinstance(value, int) or value < 1:
            raise Misuse(f"{name}={value!r} must be a whole number, at least 1")
    if share is not None and not share > 0:
        raise Misuse(f"share={share!r} must be positive, such as 0.1 for a tenth of the training time; None is no cap")
    if not tolerance > 0:
        raise Misuse(f"tolerance={tolerance!r} must be positive")
    if directions and journal is None:
        raise Misuse(
            "directions=True keeps vectors in a journal, and there is none; name one, as in journal='run.jsonl'"
        )
    if journal is not None and not isinstance(journal, Journal):
        journal = Journal(journal)
    solver = (count, tolerance, products) if ends else None
    return Watch(cost, every, journal, share, solver, Shadow(cost, mode), run, directions, show, seed, operator)


class Watch:
    """A watch in a training loop; ``with`` ends its line on the terminal. Made by :func:`watch`."""

    def __init__(
        self, cost: Cost, every: int, journal: Journal | None, share: float | None, solver: tuple[int, float, int] | None,
        shadow: Shadow, run: str | None, directions: bool, show: Any, seed: int, operator: Mapping[str, Any],
    ):  # fmt: skip
        self.cost, self.every, self.journal, self.share = cost, every, journal, share
        self.run = run or f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.UUID(bytes=os.urandom(16)).hex[:6]}"
        self._solver, self._shadow, self._directions, self._operator = solver, shadow, directions, dict(operator)
        self._show = _line() if show is None else show or None
        self._generator = torch.Generator().manual_seed(seed)
        self._records: list[dict[str, Any]] = []
        self._warm: Tensor | None = None
        self._step, self._due, self._skipped = 0, 0, 0
        self._began, self._spent, self._last = time.perf_counter(), 0.0, 0.0

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """End the line on the terminal, where one is drawn."""
        close = getattr(self._show, "close", None)
        if close is not None:
            close()

    @property
    def trajectory(self) -> Trajectory:
        """What was recorded so far."""
        return Trajectory(in_order(self._records), self.run)

    def step(self, step: int | None = None, theta: Mapping[str, Tensor] | None = None) -> dict[str, Any] | None:
        """To be called after each step of training; the record, where this step was measured.

        Args:
            step: The step's number; by default they are counted from 1.
            theta: The parameters, where they do not live in the cost's model.
        """
        self._step = self._step + 1 if step is None else int(step)
        due = self._step // self.every
        if due == self._due:
            return None
        self._due = due
        if self._records and self._over(self._last):
            self._skipped += 1
            return None
        return self.measure(theta)

    def measure(self, theta: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
        """Measure now, whatever the cap says; the record."""
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.synchronize()  # work that training has queued is not ours
        begun = time.perf_counter()
        head = {"kind": KIND, "run": self.run, "step": self._step}
        body, direction = dict(FIELDS), None
        try:
            with undisturbed():
                direction = self._fill(body, theta)
        except Exception as e:  # a watch must not end a training, whatever the user's code or the framework raises
            body["error"] = f"{type(e).__name__}: {' '.join(str(e).split())}"
            warnings.warn(f"step {self._step} was not measured: {body['error']}", WatchWarning, stacklevel=2)
        self._last = time.perf_counter() - begun
        self._spent += self._last
        record = {**head, **body, **self._times()}
        self._skipped = 0
        self._records.append(record)
        self._keep(record, direction)
        if callable(self._show):
            self._show(record)
        return record

    # -- one measurement -----------------------------------------------------------------------------------------

    def _fill(self, body: dict[str, Any], theta: Mapping[str, Tensor] | None) -> Tensor | None:
        """Put the figures into the record's body as they come; the most negative direction."""
        cost, body["J"] = self._shadow.look(theta)
        body["mode"] = self._shadow.mode_now()
        if not _finite(body["J"]):
            body["error"] = "J is not finite"
            return None
        body["gradient_norm"] = gradient_norm(cost, theta, self._operator.get("of"))
        if not _finite(body["gradient_norm"]):
            body["error"] = "the gradient is not finite"
            return None
        if self._solver is None:
            return None
        h = hessian(cost, at=theta, **self._operator)
        found = self._ends(h)
        body.update(_spectrum(found))
        direction = found.vectors[:, 0]
        body.update(_parts(h, cost, theta, direction, found.lowest[0][0]))
        return direction

    def _ends(self, h: Any) -> Ends:
        count, tolerance, products = self._solver or (1, 1.0, 1)
        fresh = torch.randn(h.n, generator=self._generator, dtype=torch.float64).to(device=h.device, dtype=h.dtype)
        start = fresh / fresh.norm()
        if self._warm is not None:
            # As much of the ends last seen as of chance: a block of them needs more products as soon as they have moved,
            # and their sum alone is blind to a new end.
            start = start + self._warm / self._warm.norm()
        found = solve(h, start[:, None], count, tolerance, products)
        self._warm = found.vectors.sum(1)
        return found

    # -- time and records ----------------------------------------------------------------------------------------

    def _training(self) -> float:
        return max(time.perf_counter() - self._began - self._spent, 1e-9)

    def _over(self, more: float) -> bool:
        """Whether so many seconds more would exceed the share."""
        return self.share is not None and self._spent + more > self.share * self._training()

    def _times(self) -> dict[str, Any]:
        training = self._training()
        return {"seconds": self._last, "training_seconds": training, "share": self._spent / training, "skipped": self._skipped}  # fmt: skip

    def _keep(self, record: Mapping[str, Any], direction: Tensor | None) -> None:
        if self.journal is None:
            return
        tensors = {"direction": direction} if self._directions and direction is not None else None
        try:
            self.journal.append(record, tensors)
        except OSError as e:
            warnings.warn(f"step {self._step} is not in the journal: {e}", WatchWarning, stacklevel=3)


def _spectrum(found: Ends) -> dict[str, Any]:
    return {
        "lowest": [{"value": v, "bound": b} for v, b in found.lowest],
        "highest": [{"value": v, "bound": b} for v, b in found.highest],
        "index": found.negative,
        "index_words": EXACT if found.exact else AT_LEAST,
        "converged": found.converged,
        "products": found.products,
    }


def _parts(
    h: Any, cost: Cost, at: Mapping[str, Tensor] | None, direction: Tensor, curvature: float
) -> dict[str, float]:
    """The curvature along a direction: of the loss around a linearised network, of the network itself, of the penalty."""
    if isinstance(cost._private, FunctionPart):
        return {}  # no model whose output could be told from the loss
    loss = float(direction @ (h.gauss_newton @ direction))
    penalty = _penalty(cost, at, h.unflatten(direction.to("cpu", cost.dtype))) if cost._penalty is not None else 0.0
    network = curvature - loss - penalty
    return {"loss_part": loss, "network_part": network, "penalty_part": penalty}


def _penalty(cost: Cost, at: Mapping[str, Tensor] | None, along: Mapping[str, Tensor]) -> float:
    """The penalty's second derivative along a direction."""
    theta = {n: t.detach().clone().requires_grad_() for n, t in cost._values(at).items()}
    moved = [theta[n] for n in along]
    first = torch.autograd.grad(cost._penalty(theta), moved, create_graph=True, materialize_grads=True)
    slope = _along(first, along)
    if not slope.requires_grad:
        return 0.0
    return float(_along(torch.autograd.grad(slope, moved, materialize_grads=True), along))


def _along(gradient: Iterable[Tensor], direction: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([(g * d).sum() for g, d in zip(gradient, direction.values(), strict=True)]).sum()


def gradient_norm(cost: Cost, at: Mapping[str, Tensor] | None, of: Any = None) -> float:
    """The Euclidean norm of J's gradient in the asked blocks, chunk by chunk."""
    theta = {n: t.detach().clone().requires_grad_() for n, t in cost._values(at).items()}
    asked = [theta[n] for n in cost.match(of)]
    total = [torch.zeros_like(t) for t in asked]
    for k, (chunk, weight) in enumerate(cost.parts()):
        value = cost.part_value(theta, k, chunk)
        if not value.requires_grad:
            continue
        for t, g in zip(total, torch.autograd.grad(value, asked, materialize_grads=True), strict=True):
            t.add_(g, alpha=float(weight))
    return float(torch.stack([t.square().sum() for t in total]).sum().sqrt())


def _finite(value: float) -> bool:
    return value - value == 0.0


def _line() -> Any:
    """The live line, where stderr is a terminal."""
    if not sys.stderr.isatty():
        return None
    from jensen.show.live import Line

    return Line(sys.stderr)
