"""The page of operations: what each activation and loss of torch.nn is, decided by running the kernel.

Every verdict is the kernel's: proofs by the composition rules, refutations by chords. The search for chords is a fixed
grid (fixed random points for several variables), so that the page is the same every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isfinite
from typing import Any

import numpy as np
import torch

from jensen.atoms import registry
from jensen.cost import Cost
from jensen.kernel.check import Claim, check
from jensen.kernel.claims.chord import Chord
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem, Ref
from jensen.tables.cases import ACTIVATIONS, LOSSES, NOT_CAPTURED, Case
from jensen.trace import trace

KINDS = ("affine", "convex", "concave", "quasiconvex", "quasiconcave")
STEP = 1 / 16
REACH = 8.0
SIGN = {"convex": 1.0, "quasiconvex": 1.0, "concave": -1.0, "quasiconcave": -1.0}

HEAD = """# Operations

What each activation and each loss of `torch.nn` is in its input, decided by jensen's kernel. This page is generated
(`python -m jensen.tables docs/operations.md`) and a test compares it.

*proved*: accepted by the composition rules, for every value of the other arguments (in the ranges shown). *refuted*: by
a chord, whose ends are shown: the value between them (exactly half-way) violates the definition in verified arithmetic.
*open*: neither. Functions are read as torch computes them, thresholds and clamps included; *ideal* is what is proved when
these are read as the functions that they stand for. End points that are not short decimals are shown rounded (`~`).
"""


class Asked:
    """One case, captured once."""

    def __init__(self, case: Case):
        self.case = case
        self.cost = Cost.of(case.fn, **case.tensors)
        self.problem: Problem = trace(self.cost).problem
        self.box = self.boxes(case.within)

    def boxes(self, within: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        shapes = self.cost.blocks
        return {
            n: (np.full(shapes[n], lo, np.float64), np.full(shapes[n], hi, np.float64))
            for n, (lo, hi) in within.items()
        }

    def proved(self, kind: str, region: tuple[float, float] | None = None, ideal: bool = False) -> bool:
        within = (
            dict(self.box) if region is None else {**self.box, **self.boxes(dict.fromkeys(self.case.asked, region))}
        )
        try:
            check(self.problem, Claim(kind, self.case.asked, within, ideal), {"method": "rules"}, registry())
        except Rejected:
            return False
        return True

    def refuted(self, kind: str) -> Chord | None:
        """A chord that the kernel accepts against the claim, the most violating one found first."""
        for chord in self.candidates(kind):
            try:
                check(self.problem, Claim(f"not {kind}", self.case.asked, self.box), chord, registry())
            except Rejected:
                continue
            return chord
        return None

    def candidates(self, kind: str) -> Iterator[Chord]:
        for ends in self.case.chords:
            a, b = ({n: np.full(self.cost.blocks[n], e) for n in self.case.asked} for e in ends)
            yield self.chord(a, b, {})
        single = len(self.case.asked) == 1 and self.cost.blocks[self.case.asked[0]] == () and len(self.cost.blocks) == 1
        yield from self.on_a_grid(kind) if single else self.at_random(kind)

    def chord(self, a: Any, b: Any, others: Any) -> Chord:
        rest = {n: t.numpy() for n, t in self.cost.theta.items() if n not in self.case.asked}
        return Chord(a, b, {**rest, **others})

    def on_a_grid(self, kind: str) -> Iterator[Chord]:
        """All pairs of grid points whose middle is a grid point."""
        name = self.case.asked[0]
        lo, hi = self.case.within.get(name, (-inf, inf))
        xs = np.arange(max(lo, -REACH), min(hi, REACH) + STEP / 2, STEP)
        values = np.array([float(self.cost({name: torch.tensor(x)})) for x in xs])
        i, j = np.triu_indices(len(xs), 1)
        i, j = i[(i + j) % 2 == 0], j[(i + j) % 2 == 0]
        gaps = gap(kind, values[i], values[(i + j) // 2], values[j])
        for k in np.argsort(-np.round(gaps, 9), kind="stable")[:3]:
            yield self.chord({name: np.array(xs[i[k]])}, {name: np.array(xs[j[k]])}, {})

    def at_random(self, kind: str) -> Iterator[Chord]:
        """Points on a grid of 1/16, so that the half-way point is exact."""
        rng = torch.Generator().manual_seed(7)
        found = []
        for _ in range(60):
            a, b = ({n: self.point(n, rng) for n in self.case.asked} for _ in range(2))
            m = {n: (a[n] + b[n]) / 2 for n in a}
            u, v, w = (float(self.cost({n: torch.as_tensor(t) for n, t in p.items()})) for p in (a, m, b))
            found.append((float(gap(kind, u, v, w)), self.chord(a, b, {})))
        found.sort(key=lambda pair: -round(pair[0], 9))
        yield from (chord for violation, chord in found[:3] if violation > 0)

    def point(self, name: str, rng: torch.Generator) -> np.ndarray:
        lo, hi = self.case.within.get(name, (-inf, inf))
        raw = torch.randn(self.cost.blocks[name], generator=rng, dtype=torch.float64) * 2
        if isfinite(lo):
            raw = raw.abs() + lo if not isfinite(hi) else lo + (hi - lo) * torch.sigmoid(raw)
        return ((raw * 16).round() / 16).clamp(max(lo, -1e3), min(hi, 1e3)).numpy()


def gap(kind: str, u: Any, m: Any, v: Any) -> Any:
    """By how much a middle value violates a claim."""
    if kind == "quasiconvex":
        return m - np.maximum(u, v)
    if kind == "quasiconcave":
        return np.minimum(u, v) - m
    return SIGN[kind] * (m - (u + v) / 2)


def number(x: float) -> str:
    short = f"{x:.6g}"
    return short if float(short) == x else f"~{short}"


def interval(region: tuple[float, float]) -> str:
    lo, hi = region
    left = "(-inf" if lo == -inf else f"[{number(lo)}"
    return f"{left}, {'inf)' if hi == inf else number(hi) + ']'}"


def regions(asked: Asked, kind: str) -> list[tuple[float, float]]:
    """Intervals in which the kernel proves a claim: those of the operation's row, and the case's own."""
    linked = asked.problem.linked(0, registry())
    node, atom = linked.nodes[linked.output], linked.atoms[linked.output]
    found: list[tuple[float, float]] = list(asked.case.regions)
    if (
        atom is not None
        and atom.row is not None
        and type(node.args[0]) is Ref
        and linked.nodes[node.args[0].index].op == "block"
    ):
        row = atom.row(*node.args[1:])
        claims = row.vex if kind == "convex" else row.cave
        found += [(a, b) for a, b, i in claims if (i <= 1 if kind == "convex" else i >= 1)]
    found = sorted({r for r in found if asked.proved(kind, r)})
    return [r for r in found if not any(s != r and s[0] <= r[0] and r[1] <= s[1] for s in found)]


def word(proved: dict[str, bool]) -> str:
    """The strongest thing proved."""
    for kind in ("affine", "convex", "concave"):
        if proved[kind]:
            return f"**{kind}**"
    if proved["quasiconvex"] and proved["quasiconcave"]:
        return "quasilinear"
    return next((k for k in ("quasiconvex", "quasiconcave") if proved[k]), "neither")


def shown(chord: Chord, asked: tuple[str, ...]) -> str:
    """The ends of a chord in one variable; larger ones are only said to exist."""
    if len(asked) == 1 and chord.a[asked[0]].shape == ():
        return f"{number(float(chord.a[asked[0]]))} and {number(float(chord.b[asked[0]]))}"
    return "a chord"


def line(case: Case, with_blocks: bool) -> str:
    """One row of a table."""
    asked = Asked(case)
    proved = {kind: asked.proved(kind) for kind in KINDS}
    cells = []
    for kind in ("convex", "concave"):
        if proved[kind]:
            cells.append("proved")
            continue
        chord = asked.refuted(kind)
        where = "; ".join(interval(r) for r in regions(asked, kind))
        text = f"refuted ({shown(chord, case.asked)})" if chord else "open"
        cells.append(text + (f"; proved on {where}" if where else ""))
    if word(proved) == "neither" and not (asked.refuted("quasiconvex") and asked.refuted("quasiconcave")):
        what = "neither; quasi- open" if "refuted" in cells[0] and "refuted" in cells[1] else "open"
    else:
        what = word(proved)
    ideal = word({kind: asked.proved(kind, ideal=True) for kind in KINDS})
    cells += [ideal if ideal != word(proved) else "", case.note]
    if with_blocks:
        box = ", ".join(f"{n} in {interval(r)}" for n, r in case.within.items())
        return f"| `{case.call}` | {', '.join(case.asked)} | {box} | {what} | {' | '.join(cells)} |"
    return f"| `{case.call}` | {what} | {' | '.join(cells)} |"


def page() -> str:
    """The whole page."""
    out = [
        HEAD,
        "## Activations\n",
        "| activation | is | convex | concave | ideal | note |",
        "|---|---|---|---|---|---|",
    ]
    out += [line(case, False) for case in ACTIVATIONS]
    out += [
        "\n## Losses\n",
        "| loss | in | where | is | convex | concave | ideal | note |",
        "|---|---|---|---|---|---|---|---|",
    ]
    out += [line(case, True) for case in LOSSES]
    out += ["\n## Not captured\n", *(f"- `{name}`: {why}" for name, why in NOT_CAPTURED.items())]
    return "\n".join(out) + "\n"
