"""The search: every kind of remedy in turn, and the answer in one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import prod
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
    unpenalised,
)
from jensen.ask.remedies.answer import Remedies, Remedy, Tried
from jensen.ask.remedies.ground import Ground, maximal, proof
from jensen.cost import Cost
from jensen.errors import Misuse, spendable
from jensen.finding import Finding, Verdict
from jensen.kernel.check import Claim
from jensen.trace import Uncaptured, trace

BUDGET = 60.0
LARGE = 5_000_000  # parameters
NOT_TRIED = "not tried"

KINDS: dict[str, Callable[[Ground], tuple[list[Remedy], str]]] = {
    "freeze": freeze.search,
    "loss": losses.search,
    "no penalty": unpenalised.search,
    "constant": constants.search,
    "linearise": linearise.search,
    "activation, normalisation, pooling": exchange.search,
    "collapse": collapse.search,
    "hold": hold.search,
    "logarithm": logarithm.search,
    "box": box.search,
    "penalty": penalty.search,
}


def remedies(
    cost: Cost, budget: float = BUDGET, within: Mapping[str, Any] | None = None, finding: Finding | None = None
) -> Remedies:
    """Small changes under which the cost is proved convex, the smallest first.

    Args:
        cost: The cost.
        budget: Seconds for the search among the kinds, and a sixth of it at most for the verdict on the cost as it
            stands; a started step is finished.
        within: A box for some blocks, as in :func:`jensen.check`: convexity is asked there only.
        finding: What ``jensen.check(cost, within=within)`` has answered, to save asking again.

    Returns:
        The remedies, each with the kernel's certificate; the kinds that were tried, and why one gave none.

    Raises:
        Misuse: For a question that cannot be asked like this.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    spendable(budget)
    began = time.perf_counter()
    boxes = box_of(cost, within)
    joint = _as_it_stands(cost, within, min(10.0, budget / 6)) if finding is None else finding
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
            tried.append(Tried(kind, 0, f"{NOT_TRIED}: the {budget:g} s were over"))
            continue
        some, why = search(ground)
        found += some
        tried.append(Tried(kind, len(some), "" if some else why))
    found.sort(key=lambda r: r.size)
    known = tuple(reformulate.search(ground, found))
    seconds = time.perf_counter() - began
    return Remedies(tuple(found), tuple(tried), joint.verdict, _statement(joint, found, tried), seconds, known)


def _as_it_stands(cost: Cost, within: Mapping[str, Any] | None, budget: float) -> Finding:
    """The verdict on the cost as it stands; for large networks only a proof is tried, as a chord takes minutes there."""
    n = sum(prod(s) for s in cost.blocks.values())
    if n <= LARGE:
        return check(cost, within=within, budget=budget)
    try:
        names, problem = tuple(cost.blocks), trace(cost).problem
    except Uncaptured:
        return check(cost, within=within, budget=0.0)
    finding = proof(problem, Claim("convex", names, box_of(cost, within)), ("rules",))
    reason = f"no proof by the rules; for {n:,} parameters no counterexample was looked for: jensen.check does so"
    text = "Whether J is convex is not decided"
    return finding or Finding(Verdict.UNKNOWN, text, reason, "convex", names, {}, 0.0)


def _statement(joint: Finding, found: list[Remedy], tried: list[Tried]) -> str:
    open_question = "" if joint.verdict == Verdict.REFUTED else "; whether J itself is convex is not decided"
    missed = [t.kind for t in tried if t.why.startswith(NOT_TRIED)]
    if not found:
        searched = "; ".join(t.kind for t in tried if t.kind not in missed)
        rest = f" ({NOT_TRIED} for want of time: {'; '.join(missed)})" if missed else ""
        return f"none found among these kinds: {searched or 'none'}{rest}{open_question}"
    kinds = ", ".join(dict.fromkeys(r.kind for r in found))
    text = "1 change makes" if len(found) == 1 else f"{len(found)} changes, each by itself, make"
    return f"{text} it PROVED convex ({kinds}); the smallest: {found[0].change}{open_question}"
