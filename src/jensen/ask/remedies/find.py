"""The search: every kind of remedy in turn, and the answer in one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from jensen.ask.convexity import box_of, check
from jensen.ask.remedies import (
    box,
    collapse,
    constants,
    exchange,
    freeze,
    hold,
    linearise,
    logarithm,
    losses,
    penalty,
    reformulate,
)
from jensen.ask.remedies.answer import Remedies, Remedy, Tried
from jensen.ask.remedies.ground import Ground, maximal
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.finding import Finding, Verdict
from jensen.trace import Uncaptured, trace

BUDGET = 60.0

KINDS: dict[str, Callable[[Ground], tuple[list[Remedy], str]]] = {
    "freeze": freeze.search,
    "loss": losses.search,
    "constant": constants.search,
    "linearise": linearise.search,
    "activation, normalisation, pooling": exchange.search,
    "collapse": collapse.search,
    "hold": hold.search,
    "logarithm": logarithm.search,
    "box": box.search,
    "penalty": penalty.search,
}


def remedies(cost: Cost, budget: float = BUDGET, within: Mapping[str, Any] | None = None) -> Remedies:
    """Small changes under which the cost is proved convex, the smallest first.

    Args:
        cost: The cost.
        budget: Seconds for the search among the kinds, and a sixth of it at most for the verdict on the cost as it
            stands; a started step is finished.
        within: A box for some blocks, as in :func:`jensen.check`: convexity is asked there only.

    Returns:
        The remedies, each with the kernel's certificate; the kinds that were tried, and why one gave none.

    Raises:
        Misuse: For a question that cannot be asked like this.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    if not budget >= 0:
        raise Misuse(f"budget={budget!r}: the seconds for the search must not be negative")
    began = time.perf_counter()
    boxes = box_of(cost, within)
    joint = check(cost, within=within, budget=min(10.0, budget / 6))
    if joint.verdict == Verdict.PROVED:
        text = f"no remedy is needed: {joint.statement} (PROVED)"
        return Remedies((), (), joint.verdict, text, time.perf_counter() - began)
    try:
        problem = trace(cost).problem
    except Uncaptured:
        text = f"no change can be judged: {joint.reason}"
        return Remedies((), (), joint.verdict, text, time.perf_counter() - began)
    start = time.perf_counter()
    ground = Ground(cost, problem, maximal(problem, boxes), boxes, start, start + budget)
    found: list[Remedy] = []
    tried: list[Tried] = []
    for kind, search in KINDS.items():
        if ground.late():
            tried.append(Tried(kind, 0, f"not tried: the {budget:g} s were over"))
            continue
        some, why = search(ground)
        found += some
        tried.append(Tried(kind, len(some), "" if some else why))
    found.sort(key=lambda r: r.size)
    known = tuple(reformulate.search(ground, found))
    seconds = time.perf_counter() - began
    return Remedies(tuple(found), tuple(tried), joint.verdict, _statement(joint, found, tried), seconds, known)


def _statement(joint: Finding, found: list[Remedy], tried: list[Tried]) -> str:
    open_question = "" if joint.verdict == Verdict.REFUTED else "; whether J itself is convex is not decided"
    if not found:
        return f"none found among these kinds: {'; '.join(t.kind for t in tried)}{open_question}"
    kinds = ", ".join(dict.fromkeys(r.kind for r in found))
    text = "1 change makes" if len(found) == 1 else f"{len(found)} changes, each by itself, make"
    return f"{text} it PROVED convex ({kinds}); the smallest: {found[0].change}{open_question}"
