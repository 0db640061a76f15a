"""Which mechanism breaks convexity by itself? Each is left alone by surgery on the program, and the rest decided anew.

Every row is a question like any other: its answer is a finding with a certificate about the program after the surgery,
found and checked by the machinery that answers ``jensen.check``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask import convexity, refute
from jensen.ask.why import mechanism_order as order
from jensen.ask.why.answer import Mechanism
from jensen.ask.why.labels import ACTIVATION, ATTENTION, LOSS, NORMALISATION, OTHER, PRODUCT, labels, sides
from jensen.ask.why.surgery import apart, parts
from jensen.ask.why.surgery_linear import linearise, moving
from jensen.certificate import EMBED_LIMIT
from jensen.cost import Cost
from jensen.errors import Misuse, spendable
from jensen.finding import Finding, Verdict
from jensen.kernel.check import Claim
from jensen.kernel.program import Problem
from jensen.linalg.jets_kinds import linear
from jensen.linalg.torch_reading import program_value
from jensen.surgery import joined, trimmed
from jensen.trace import Traced, trace

BUDGET = 120.0
PATIENCE = 4  # how much longer all rows may take than their searches
REPRESENTATIVES = 2  # blocks with a row of their own: as many that bend the cost as blocks that do not
TERMS = 2000  # of the sum over the blocks
NAMES = 8  # named in a sentence

ENOUGH = {Verdict.REFUTED: "yes", Verdict.PROVED: "no"}
WORDS = {
    PRODUCT: "products of parameters", ACTIVATION: "activations", NORMALISATION: "normalisations",
    ATTENTION: "attention", OTHER: "other operations",
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """Where the search starts; stands in for a cost, of which the search reads nothing else."""

    theta: dict[str, Tensor]


@dataclass
class Table:
    """The rows so far, and what they are about: the cost without its penalty, its parts, a point, the asked blocks."""

    traced: Traced
    theta: dict[str, Tensor]
    asked: tuple[str, ...]
    stop: float
    end: float  # of all searches, whatever the kernel takes
    rows: int  # how many more there may be, for their shares of the time
    loss: Problem = field(init=False)  # with the penalty's operations still in its programs: indices are the cost's
    bare: Problem = field(init=False)  # without them
    penalty: Problem | None = field(init=False)
    kinds: list[list[str]] = field(init=False)
    moves: list[list[bool]] = field(init=False)

    def __post_init__(self) -> None:
        problem, roles = self.traced.problem, self.traced.roles
        loss, penalty = parts(problem, roles)
        self.loss = Problem(tuple(loss), problem.blocks)
        self.bare = joined([trimmed(t) for t in loss], problem.blocks)
        self.penalty = joined([trimmed(t) for t in penalty], problem.blocks) if penalty else None
        kept = [
            (t, r)
            for t, r in zip(problem.terms, roles, strict=True)
            if "penalty" not in r or "model" in r or "loss" in r
        ]
        self.kinds = [
            [
                LOSS if side == LOSS else label
                for label, side in zip(labels(t.program, r), sides(t.program, r), strict=True)
            ]
            for t, r in kept
        ]
        self.moves = [moving(t.program) for t in self.loss.terms]

    def nonlinear(self) -> set[str]:
        """The mechanisms of the operations that bend their moving inputs."""
        found = set()
        for term, kinds, moves in zip(self.loss.terms, self.kinds, self.moves, strict=True):
            for i, node in enumerate(term.program.nodes):
                if node.op != "block" and moves[i] and not linear(node, lambda j, m=moves: m[j]):
                    found.add(kinds[i])
        return found

    # -- one row ---------------------------------------------------------------------------------------------------

    def row(
        self,
        name: str,
        surgery: str,
        problem: Problem,
        theta: Mapping[str, Tensor] | None = None,
        asked: tuple[str, ...] | None = None,
        within: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
        note: str = "",
    ) -> Mechanism:
        """Decide whether the cost after the surgery is convex."""
        used = {n for t in problem.terms for n in t.program.leaves("block")}
        blocks = tuple(n for n in (asked or self.asked) if n in used)
        began = time.perf_counter()
        left = min(self.stop, self.end) - began
        share = left / max(self.rows, 1)
        self.rows -= 1
        if not blocks:
            return _undecided(name, surgery, "it depends on none of the asked blocks", blocks)
        claim = Claim("convex", blocks, dict(within or {}))
        point: Any = Point(dict(theta or self.theta))
        budget = min(convexity.BUDGET, max(share, 0.0))  # a proof is tried in any case: it is quick
        finding = convexity.Question(point, problem, claim, began, budget).answer()
        self.stop += max(time.perf_counter() - began - budget, 0.0)  # what the kernel took comes on top
        late = "the rows before have used up the budget; give a larger one" if left <= 0 else ""
        if late and finding.verdict == Verdict.UNKNOWN:
            note = _joined(note, late)
        return mechanism(name, surgery, finding, note)

    # -- the rows --------------------------------------------------------------------------------------------------

    def tangents(self, name: str, what: str, chosen: Callable[[str], bool], note: str = "") -> Mechanism:
        """The cost with the operations of some mechanisms replaced by their tangents at the point."""
        done, size = [], 0
        for term, kinds in zip(self.loss.terms, self.kinds, strict=True):
            done.append(linearise(term, self.theta, lambda i, k=kinds: chosen(k[i])))
            size += done[-1].size
            if size > EMBED_LIMIT:
                self.rows -= 1
                why = "the linearisation at every data point takes more than 256 MB of constants: use fewer data points"
                return _undecided(name, self._and_penalty(f"{what} linearised at the point"), why, self.asked)
        replaced = list(dict.fromkeys(n for d in done for n in d.replaced))
        kept = {n: w for d in done for n, w in d.kept.items()}
        surgery = f"{what} linearised at the point ({_some(replaced)})" if replaced else ""
        if kept:
            words = "; ".join(f"{n}: {w}" for n, w in list(kept.items())[:NAMES])
            note = _joined(note, f"not linearised, although it should be: {words}")
        problem = joined([d.term for d in done], self.loss.blocks)
        found = self.row(name, self._and_penalty(surgery), problem, note=note)
        return replace(found, enough="unknown") if kept else found  # not alone

    def _and_penalty(self, surgery: str) -> str:
        dropped = "the penalty dropped" if self.penalty is not None else ""
        return " and ".join(w for w in (surgery, dropped) if w) or "nothing changed"

    def network(self) -> Iterator[Mechanism]:
        """Each mechanism of the network alone, the whole network alone, the loss alone.

        The loss stays beside a mechanism where it is convex in what the linearised network gives it; else it would break
        convexity in every row, and is linearised too.
        """
        present = self.nonlinear()
        has_loss = any(LOSS in k for k in self.kinds)
        whole = f"every nonlinear operation{' of the network' if has_loss else ''}"
        loss = self.tangents("loss alone", whole, lambda k: k != LOSS) if has_loss else None
        keep = {LOSS} if loss is not None and loss.enough == "no" else set()
        for kind in (k for k in WORDS if k in present or k in (PRODUCT, ACTIVATION)):
            note = "" if kind in present else f"{'the network' if has_loss else 'J'} has no {WORDS[kind]}"
            what = f"{whole} but its {WORDS[kind]}{' and the loss' if has_loss and not keep else ''}"
            yield self.tangents(f"{WORDS[kind]} alone", what, lambda k, kind=kind: k not in {kind, *keep}, note)
        if loss is not None:
            yield self.tangents("network alone, the loss linearised", "the loss", lambda k: k == LOSS)
            yield loss

    def blocks(self) -> Iterator[Mechanism]:
        """One block at a time, the others any value: nothing multiplies two blocks."""
        claims = {n: Claim("convex", (n,), {}) for n in self.asked if self.theta[n].numel()}
        flat = [n for n, c in claims.items() if refute.provable(self.bare, c, (n,))]
        bent = [n for n in claims if n not in flat]
        shown = [*_spread(bent, REPRESENTATIVES), *_spread(flat, REPRESENTATIVES)]
        surgery = self._and_penalty("only this block moving, the others any value")
        found = {n: self.row(f"block {n} alone", surgery, self.bare, asked=(n,)) for n in shown}
        yield self._one_at_a_time(found, flat, [n for n in claims if n not in shown and n not in flat])
        yield from (found[n] for n in claims if n in found)

    def _one_at_a_time(self, found: dict[str, Mechanism], flat: Sequence[str], out: Sequence[str]) -> Mechanism:
        """The rows of single blocks in one: those that are shown, those proved by the rules, and those left open."""
        name, what = "one block at a time", "only one block moving at a time, so that nothing multiplies two blocks"
        rest = [n for n in flat if n not in found]
        note = _joined(
            f"proved too: {_some(rest)}" if rest else "", f"not tried, and without a proof: {_some(out)}" if out else ""
        )
        surgery = self._and_penalty(what)
        for verdict in (Verdict.REFUTED, Verdict.MEASURED, Verdict.UNKNOWN):
            for n, m in found.items():
                if m.verdict == verdict:
                    return replace(m, name=name, reason=_joined(f"block {n}: {m.reason}", note))
        if out:
            return _undecided(name, surgery, note, self.asked)
        asked = Problem(self.bare.terms, {n: s for n, s in self.bare.blocks.items() if n in found or n in flat})
        note = "each block alone is proved for every value of the others"
        if len(asked.terms) * len(asked.blocks) > TERMS:
            n, m = next(iter(found.items()))
            return replace(m, name=name, reason=_joined(note, f"the certificate is that of block {n}"))
        surgery += ": the sum over the blocks of the cost in that block, the others where they are"
        values = {n: t.numpy() for n, t in self.theta.items()}
        return self.row(name, surgery, apart(asked, values), asked=tuple(asked.blocks), note=note)

    def regularised(self) -> Iterator[Mechanism]:
        """With and without the penalty; nothing where there is none."""
        if self.penalty is not None:
            yield self.row("penalty dropped", "the penalty dropped", self.bare)
            yield self.row("penalty alone", "everything but the penalty dropped", self.penalty)

    def one_cone(self) -> Mechanism:
        """The whole cost where each class of interchangeable hidden units stands in one order."""
        name, problem = "inside one ordered cone", self.traced.problem
        cone = order.cone(problem, self.theta, self.asked)
        if isinstance(cone, str):
            self.rows -= 1
            return _undecided(name, "hidden units kept in one order", f"not applicable: {cone}", self.asked)
        return self.row(name, cone.surgery, cone.problem, cone.theta, cone.renamed(self.asked), cone.within, cone.note)


def mechanisms(
    cost: Cost,
    at: Mapping[str, Tensor] | None = None,
    of: str | Iterable[str] | None = None,
    budget: float = BUDGET,
) -> tuple[Mechanism, ...]:
    """What breaks convexity by itself: each mechanism left alone, by surgery on the program.

    Args:
        cost: The cost.
        at: Block -> tensor of its shape: where operations are linearised and the search starts; the current parameters
            for blocks that are left out.
        of: Which blocks vary; the others take any value. All of them for None.
        budget: Seconds, shared by the searches; what the kernel needs to check the counterexamples comes on top, until
            four times as much is over. Rows that it does not reach are there, and unknown.

    Returns:
        One row for each mechanism: products of parameters, activations, normalisations and attention, each with all
        other bent operations of the network replaced by their tangents at the point; the network with its loss
        linearised, and the loss with its network linearised; one block at a time; without the penalty, and the penalty
        alone; points inside one cone on which the interchangeable hidden units are ordered. ``enough`` is "yes" where
        the cost after the surgery is refuted to be convex, "no" where it is proved, "unknown" otherwise, and where
        something had no linearisation.

    Raises:
        Misuse: For unknown blocks, wrong shapes, and a point at which the cost is not finite.
    """
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    spendable(budget)
    start = time.perf_counter()
    asked = cost.match(of)
    theta = _point(cost, at)
    traced = trace(cost)
    if not bool(torch.isfinite(program_value(traced.problem, theta))):
        raise Misuse("the cost is not finite at the point; give another one with at={block: tensor}")
    table = Table(traced, theta, asked, start + budget, start + PATIENCE * budget, 8 + 2 * REPRESENTATIVES)
    network, cone = list(table.network()), table.one_cone()  # the blocks come last: there are many
    regularised = list(table.regularised())
    return (*network, *table.blocks(), *regularised, cone)


def _point(cost: Cost, at: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    theta = {**cost.theta, **{n: torch.as_tensor(t) for n, t in (at or {}).items()}}
    if at:
        cost(theta)  # refuses names and shapes that are not the cost's
    return {n: t.detach().to(device="cpu", dtype=torch.float64, copy=True) for n, t in theta.items()}


def mechanism(name: str, surgery: str, finding: Finding, note: str = "") -> Mechanism:
    """A finding about a cost after surgery as a row: its sentence says what was done."""
    statement = f"With {surgery}: {finding.statement}"
    finding = replace(finding, statement=statement)
    enough = ENOUGH.get(finding.verdict, "unknown")
    return Mechanism(name, enough, finding.verdict, statement, finding, _joined(finding.reason, note))


def _undecided(name: str, surgery: str, why: str, blocks: tuple[str, ...]) -> Mechanism:
    text = "Whether J is convex is not decided"
    return mechanism(name, surgery, Finding(Verdict.UNKNOWN, text, why, "convex", blocks, {}, 0.0))


def _spread(names: Sequence[str], count: int) -> list[str]:
    """At most so many, from the first to the last."""
    if len(names) <= count:
        return list(names)
    return [names[round(k * (len(names) - 1) / (count - 1))] for k in range(count)]


def _joined(*clauses: str) -> str:
    return "; ".join(c for c in clauses if c)


def _some(names: Sequence[str]) -> str:
    some = [*names[:NAMES], *([f"{len(names) - NAMES} more"] if len(names) > NAMES else [])]
    return f"{', '.join(some[:-1])} and {some[-1]}" if len(some) > 1 else some[0]
