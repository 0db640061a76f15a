"""The curvature along a training run, watched from inside the training loop at a stated share of its time."""

from __future__ import annotations

import math
import os
import sys
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from os import PathLike
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from jensen.ask.curvature.look import FIELDS, Looker
from jensen.ask.curvature.settings import check, check_rest, opened
from jensen.ask.curvature.shadow import Shadow
from jensen.ask.curvature.trajectory import KIND, Trajectory, held, in_order
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.run.journal import Journal

SOLVE = 0.8  # of the time allowed goes to the ends of the spectrum at most, for something comes after
SPARE, CUT = 1.5, 2.0  # times what a measurement took must be allowed for the next: they differ; a cut one gets more


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
    start: int | None = None,
    directions: bool = False,
    show: Callable[[Mapping[str, Any]], None] | bool | None = None,
    seed: int = 0,
    **operator: Any,
) -> Watch:
    """Watch a cost while its model is trained; call ``step()`` after each step of the training loop.

    The point where training starts is measured now, which also prepares what later measurements use; the last one when
    the watch is closed. Neither is part of the training loop, and neither counts for the share.

    Args:
        cost: The cost; its model's parameters are read live and nothing of the model is changed.
        every: Measure at the multiples of so many steps.
        journal: Where records are kept: a path, or an open journal.
        share: Measuring takes at most this share of the time that training took since the watch was made: what is expected
            to exceed it is left out, what runs late stops with its bounds as they are. None: no cap.
        ends: Measure both ends of the Hessian's spectrum, not only J and the gradient.
        count: Eigenvalues at each end.
        tolerance: An eigenvalue's bound is met at this share of its size.
        products: At most so many Hessian products a measurement.
        mode: ``"train"`` or ``"eval"``, in which the model is looked at, whatever its own; None: its mode when the watch is
            made where J is then a function (no dropout), else eval.
        run: The run's name in its journal; a name that is there already is continued.
        start: The step at which training stands; None: 0, or where a run goes on the one before its first ``step(...)``.
        directions: Keep the most negative direction of each measurement in the journal's tensor files.
        show: Called with each record, until it fails; None draws a line where stderr is a terminal, True always, False never.
        seed: For the random part of the first start vectors; the global random states are not touched.
        operator: Passed to :func:`jensen.hessian` (device, width, memory, ...).

    Raises:
        Misuse: For settings that cannot be used, and for a cost that has no Hessian here.
    """
    whole = {"every": every, "count": count, "products": products}
    check(cost, whole, {"share": share, "tolerance": tolerance}, {"ends": ends, "directions": directions})
    check_rest(run, start, show, seed, operator)
    looker = Looker(Shadow(cost, mode), (count, tolerance, products) if ends else None, seed, operator)
    return Watch(looker, every, opened(journal, directions), share, run, start, directions, show)


class Watch:
    """A watch in a training loop, made by :func:`watch`; leaving its ``with`` measures the last point.

    Under torch.distributed the first process measures its cost alone, and the others' watches do nothing: the time that
    each has left differs, and so would their decisions when to measure.
    """

    def __init__(
        self, looker: Looker, every: int, journal: Journal | None, share: float | None, run: str | None, start: int | None,
        directions: bool, show: Any,
    ):  # fmt: skip
        self.every, self.journal, self.share = every, journal, share
        self.run = run or f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.UUID(bytes=os.urandom(16)).hex[:6]}"
        self._looker, self._directions = looker, directions
        self._idle = dist.is_available() and dist.is_initialized() and dist.get_rank() > 0
        self._show = show if callable(show) else None if self._idle or show is False else _line(always=show is True)
        self._records: list[dict[str, Any]] = []
        self._theta: Mapping[str, Tensor] | None = None
        self._skipped = 0
        self._began, self._spent, self._needed = time.perf_counter(), 0.0, 0.0
        self._told = False  # that the journal fails
        earlier = held(journal).get(run, []) if run is not None and journal is not None and not self._idle else []
        self._stand(start, earlier)
        if not self._idle:
            self._prepare(resumed=bool(earlier))

    def _stand(self, start: int | None, earlier: Sequence[Mapping[str, Any]]) -> None:
        """Where training stands; of a run that goes on, its first step tells where it does unless ``start`` has."""
        last = max((r["step"] for r in earlier), default=0)
        self._step = self._start = last if start is None else start
        self._due: int | None = None if earlier and start is None else self._step // self.every
        self._resumed = start if earlier else None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        self.close(measure=kind is None)

    def close(self, measure: bool = True) -> None:
        """Measure the last point, where it was not, and end the line on the terminal."""
        if measure and not self._idle and self._step > (self._records[-1]["step"] if self._records else self._start):
            self._record(self._theta, None)
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
            step: The step's number; by default they are counted on.
            theta: The parameters, where they do not live in the cost's model.
        """
        self._theta = theta
        if step is not None and (isinstance(step, bool) or not isinstance(step, Integral) or step < 0):
            raise Misuse(f"step={step!r} must be a whole number, 0 or more, or None to count on")
        self._step = self._step + 1 if step is None else int(step)
        if self._due is None:
            self._start = self._resumed = self._step - 1
            self._due = self._start // self.every
        due = self._step // self.every
        if due == self._due or self._idle:
            return None
        self._due, begun = due, time.perf_counter()
        allowed = math.inf if self.share is None else self.share * self._training() - self._spent
        if allowed < self._needed:
            self._skipped += 1
            self._count(time.perf_counter() - begun, spent=True)
            return None
        return self._record(theta, allowed)

    def measure(self, theta: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
        """Measure now, whatever the cap says; the record. It counts for the share."""
        return self._record(theta, math.inf)

    # -- time and records ----------------------------------------------------------------------------------------

    def _prepare(self, resumed: bool) -> None:
        """Measure the starting point, or only get ready where the run goes on; what fails here is raised."""
        begun = time.perf_counter()
        body = dict(FIELDS)
        self._looker.prepare()
        ready = time.perf_counter()
        direction = self._looker.look(body, None)
        self._began = time.perf_counter()
        seconds = self._began - begun
        if not resumed:
            self._add(body, seconds, direction)
        self._needed = SPARE * (time.perf_counter() - ready)
        self._began = time.perf_counter()

    def _record(self, theta: Mapping[str, Tensor] | None, allowed: float | None) -> dict[str, Any]:
        """Measure within so many seconds, which count for the share; without a number in any time, uncounted."""
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.synchronize()  # work that training has queued is not ours
        begun = time.perf_counter()
        until = begun + (math.inf if allowed is None else SOLVE * allowed)
        body, direction = dict(FIELDS), None
        try:
            direction = self._looker.look(body, theta, lambda: time.perf_counter() > until)
        except Exception as e:  # a watch must not end a training, whatever the user's code or the framework raises
            body["error"] = f"{type(e).__name__}: {' '.join(str(e).split())}"
            warnings.warn(f"step {self._step} was not measured: {body['error']}", WatchWarning, stacklevel=3)
        now = time.perf_counter()
        cut = now > until and body["converged"] is False
        seconds = self._count(now - begun, allowed is not None)
        record = self._add(body, seconds, direction)
        kept = self._count(time.perf_counter() - now, allowed is not None)
        self._needed = (CUT if cut else SPARE) * (seconds + kept)
        return record

    def _count(self, seconds: float, spent: bool) -> float:
        """Seconds that measuring took, for the share or for nothing; never for training."""
        if spent:
            self._spent += seconds
        else:
            self._began += seconds
        return seconds

    def _training(self) -> float:
        """Seconds since the watch was made, less those that measuring took."""
        return max(time.perf_counter() - self._began - self._spent, 0.0)

    def _add(self, body: Mapping[str, Any], seconds: float, direction: Tensor | None) -> dict[str, Any]:
        training = self._training()
        share = self._spent / training if training > 0 else 0.0
        times = {"seconds": seconds, "training_seconds": training, "share": share, "skipped": self._skipped}
        record = {"kind": KIND, "run": self.run, "step": self._step, "resumed": self._resumed, **body, **times}
        self._skipped, self._resumed = 0, None
        self._records.append(record)
        if self.journal is not None:
            self._keep(self.journal, record, direction)
        self._tell(record)
        return record

    def _tell(self, record: dict[str, Any]) -> None:
        """The record to whom shows it; one that fails is left out from then on."""
        if not callable(self._show):
            return
        try:
            self._show(record)
        except Exception as e:  # a closed terminal, or the user's code: training goes on
            text = (
                f"step {self._step} was not shown: {type(e).__name__}: {e}; training goes on, and nothing more is shown"
            )
            warnings.warn(text, WatchWarning, stacklevel=5)
            self._show = None

    def _keep(self, journal: Journal, record: Mapping[str, Any], direction: Tensor | None) -> None:
        """Add a record to the journal; one that fails is told of once, and tried again with the next record."""
        tensors = {"direction": direction} if self._directions and direction is not None else None
        try:
            journal.append(record, tensors)
        except Exception as e:  # full, gone, or written over by somebody else: training goes on
            if not self._told:
                text = (
                    f"step {self._step} is not in the journal: {e}; training goes on, and the watch keeps its records"
                )
                warnings.warn(text, WatchWarning, stacklevel=5)
            self._told = True
        else:
            self._told = False


def _line(always: bool) -> Any:
    """The live line, where stderr is a terminal or it is asked for."""
    if not always and not sys.stderr.isatty():
        return None
    from jensen.show.live import Line

    return Line(sys.stderr)
