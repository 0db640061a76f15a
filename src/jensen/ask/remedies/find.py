"""The search: every kind of remedy in turn, and the answer in one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from jensen.ask.convexity import box_of, check
from jensen.ask.remedies import collapse, constants, exchange, freeze, hold, linearise, logarithm, losses, penalty
from jensen.ask.remedies.answer import Remedies, Remedy, Tried
from jensen.ask.remedies.ground import Ground, maximal
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.finding import Finding, Verdict
from jensen.trace import trace

BUDGET = 60.0

KINDS: dict[str, Callable[[Ground], tuple[list[Remedy], str]]] = {
    "freeze": freeze.search,
    "constant": constants.search,
    "hold": hold.search,
    "loss": losses.search,
    "exchange": exchange.search,
    "collapse": collapse.search,
    "logarithm": logarithm.search,
    "penalty": penalty.search,
    "linearise": linearise.search,
}


def remedies(cost: Cost, budget: float = BUDGET, within: Mapping[str, Any] | None = None) -> Remedies:
    """Small changes under which the cost is proved convex, the smallest first.

    Args:
        cost: The cost.
        budget: Seconds for the search; a started step is finished.
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
    start = time.perf_counter()
    boxes = box_of(cost, within)
    joint = check(cost, within=within, budget=min(10.0, budget / 6))
    if joint.verdict == Verdict.PROVED:
        text = f"no remedy is needed: {joint.statement} (PROVED)"
        return Remedies((), (), joint.verdict, text, time.perf_counter() - start)
    problem = trace(cost).problem
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
    seconds = time.perf_counter() - start
    return Remedies(tuple(found), tuple(tried), joint.verdict, _statement(joint, found, tried), seconds)


def _statement(joint: Finding, found: list[Remedy], tried: list[Tried]) -> str:
    kinds = ", ".join(t.kind for t in tried)
    if not found:
        return f"none found among these kinds: {kinds}"
    first = found[0]
    return (
        f"{len(found)} changes make it PROVED convex (kinds: {', '.join(sorted({r.kind for r in found}))}); "
        f"the smallest: {first.change}"
    )
