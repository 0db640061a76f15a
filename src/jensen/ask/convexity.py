"""Is J convex (concave, quasiconvex, ...) in these blocks?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from jensen.ask import refute
from jensen.ask.diagram import steps
from jensen.atoms import registry
from jensen.certificate import Certificate
from jensen.cost import Cost
from jensen.errors import Misuse, spendable
from jensen.finding import Finding, Verdict
from jensen.kernel import check as kernel
from jensen.kernel.check import KINDS, Claim
from jensen.kernel.errors import Rejected, Unmodelled
from jensen.kernel.program import Problem
from jensen.trace import Uncaptured, trace

BUDGET = 10.0
QUICK = 0.5


def check(
    cost: Cost,
    of: str | Iterable[str] | None = None,
    claim: str = "convex",
    within: Mapping[str, Any] | None = None,
    ideal: bool = False,
    budget: float = BUDGET,
) -> Finding:
    """Prove or refute a claim about the cost.

    Args:
        cost: The cost.
        of: Which blocks vary: a pattern (fnmatch, case kept) or several; all of them for None. The others take any value.
        claim: convex, concave, affine, quasiconvex, quasiconcave, log-concave or log-convex.
        within: For blocks (or patterns), a pair of lower and upper bounds: numbers or tensors; None or infinity is free.
        ideal: Read softplus's threshold and the log clamps as the functions they stand for.
        budget: Seconds for the search for a counterexample.

    Returns:
        A finding: PROVED and REFUTED are accepted by the kernel and can be saved; MEASURED is a counterexample in
        floats that the kernel could not confirm; UNKNOWN names what is missing.

    Raises:
        Misuse: For a question that cannot be asked like this.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    possible(claim, budget)
    start = time.perf_counter()
    names = cost.match(of)
    boxes = box_of(cost, within)
    asked = Claim(claim, names, boxes, ideal)
    try:
        problem = trace(cost).problem
    except Uncaptured as e:
        text = f"Whether J is {claim} is not decided"
        reason = f"{e}; write the cost with other operations"
        return Finding(Verdict.UNKNOWN, text, reason, claim, names, {}, time.perf_counter() - start)
    return Question(cost, problem, asked, start, budget).answer()


def possible(claim: str, budget: float) -> None:
    """Refuse a question that cannot be asked about any cost."""
    if claim not in KINDS:
        raise Misuse(f"claim={claim!r} is not known; ask for one of {', '.join(KINDS)}")
    spendable(budget)


def box_of(cost: Cost, within: Mapping[str, Any] | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Bounds for each named block as float64 arrays of its shape."""
    boxes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if within is not None and not (isinstance(within, Mapping) and all(isinstance(p, str) for p in within)):
        raise Misuse(f"within={within!r} does not say of which block: give a dict from names to pairs (lower, upper)")
    for pattern, pair in (within or {}).items():
        names = [n for n in cost.blocks if n == pattern or fnmatchcase(n, pattern)]
        if not names:
            raise Misuse(f"within names {pattern!r}, which matches no block; the blocks are {', '.join(cost.blocks)}")
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise Misuse(f"within[{pattern!r}] must be a pair (lower, upper)")
        for n in names:
            lo, hi = _bound(n, pair[0], -np.inf, cost.blocks[n]), _bound(n, pair[1], np.inf, cost.blocks[n])
            if (
                np.isnan(lo).any()
                or np.isnan(hi).any()
                or (lo > hi).any()
                or (lo == np.inf).any()
                or (hi == -np.inf).any()
            ):
                raise Misuse(f"the box of {n!r} is empty or holds NaN: the lower bound must not exceed the upper one")
            boxes[n] = (lo, hi)
    return boxes


def _bound(name: str, value: Any, free: float, shape: tuple[int, ...]) -> np.ndarray:
    if value is None:
        value = free
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "iufO":
            raise TypeError
        bound = given.astype(np.float64)
        exact = np.array_equal(given, bound, equal_nan=True) if given.dtype.kind == "f" else _same(given, bound)
        out = np.array(np.broadcast_to(bound, shape))
    except OverflowError:
        exact, out = False, np.zeros(())
    except (ValueError, TypeError):
        raise Misuse(
            f"the bounds of {name!r} do not fit its shape {shape}; give numbers or tensors of that shape"
        ) from None
    if not exact:
        raise Misuse(
            f"a bound of {name!r} is no float64, and rounded it would be another box: give one that is, as a float"
        )
    return out


def _same(given: np.ndarray, bound: np.ndarray) -> bool:
    """Whether numbers of any kind are these floats exactly."""
    return all(isinstance(g, float) or Fraction(g) == Fraction(b) for g, b in zip(given.flat, bound.flat, strict=True))


class Question:
    """One claim about one problem on its way to an answer."""

    def __init__(self, cost: Cost, problem: Problem, claim: Claim, start: float, budget: float):
        self.cost, self.problem, self.claim, self.start, self.budget = cost, problem, claim, start, budget

    def answer(self) -> Finding:
        no = self.prove(self.claim)
        if isinstance(no, Finding):
            return no
        if isinstance(no, Unmodelled):
            return self.finding(
                Verdict.UNKNOWN, f"Whether J is {self.claim.kind} is not decided", f"{no.node}: {no.why}"
            )
        constant = self._constant_in_the_way()
        reason = constant or no.why
        proof = self._prove_by("quadratic") or self._prove_by("rational")
        if proof is not None:
            return proof
        found = refute.refute(self.cost, self.problem, self.claim, min(QUICK, self.budget))
        if found.accepted is None:
            proof = self._prove_by("box")
            if proof is not None:
                return proof
            if constant:
                found = refute.across_thresholds(self.cost, self.problem, self.claim)
            if found.accepted is None:
                found = refute.refute(self.cost, self.problem, self.claim, self.budget, skip=found.rounds)
        if found.accepted is not None:
            evidence = {"method": "chord", **found.figures}
            return self.finding(Verdict.REFUTED, found.accepted.statement, reason, evidence, found.chord, no.node)
        if found.figures:
            text = f"J seems not to be {self.claim.kind}: a chord violates it in floats, which the kernel could not confirm"
            return self.finding(
                Verdict.MEASURED, text, f"{reason}; {found.why}", {"method": "chord in floats", **found.figures}
            )
        text = f"Whether J is {self.claim.kind} is not decided"
        return self.finding(
            Verdict.UNKNOWN, text, f"no proof: {no.node}: {reason}; no counterexample: {found.why}", lost=no.node
        )

    def prove(self, claim: Claim) -> Finding | Rejected:
        """By the composition rules."""
        evidence = {"method": "rules"}
        try:
            accepted = kernel.check(self.problem, claim, evidence, registry())
        except Rejected as e:
            return e
        return self.finding(Verdict.PROVED, accepted.statement, "by the composition rules", evidence, evidence)

    def _prove_by(self, method: str) -> Finding | None:
        evidence = {"method": method}
        try:
            accepted = kernel.check(self.problem, self.claim, evidence, registry())
        except Rejected:
            return None
        return self.finding(Verdict.PROVED, accepted.statement, PROOFS[method], evidence, evidence)

    def _constant_in_the_way(self) -> str | None:
        """Where only a numerical constant of torch stands in the way: which, and how large its defect is."""
        if self.claim.ideal:
            return None
        ideal = Claim(self.claim.kind, self.claim.blocks, self.claim.within, True)
        if isinstance(self.prove(ideal), Rejected):
            return None
        return f"{self.claim.kind} but for {refute.constants(self.problem)}; ideal=True asks about the ideal form"

    def finding(
        self,
        verdict: Verdict,
        statement: str,
        reason: str,
        evidence: Any = None,
        certified: Any = None,
        lost: str | None = None,
    ) -> Finding:
        claim = self.claim
        if verdict == Verdict.REFUTED:
            claim = Claim(f"not {claim.kind}", claim.blocks, claim.within, claim.ideal)
        certificate = None if certified is None else Certificate(self.problem, claim, certified)
        return Finding(
            verdict, statement, reason, self.claim.kind, self.claim.blocks, evidence or {},
            time.perf_counter() - self.start, steps(self.problem, self.claim, lost), certificate,
        )  # fmt: skip


PROOFS = {
    "quadratic": "it is a quadratic whose matrix an exact factorisation shows to be semidefinite",
    "rational": "it is a rational function of one variable, and the signs of its derivatives are decided exactly",
    "box": "enclosures of the derivatives on a subdivision of the box",
}
