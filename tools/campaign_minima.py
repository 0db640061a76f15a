"""Published facts about minima, reproduced: Safran and Shamir's shares of spurious minima, XOR, a deep linear network.

    python tools/campaign_minima.py [runs] [seed] [polished]

Prints for k = 6, 7, 8 how many of the runs end above 1e-3 (published: 0.3, 5.5, 12.6 % of 1,000), the 99 % Wilson interval, the
probability of a difference as large between two samples, the seconds, and the distinct minima, modulo exchange of students and of
teachers, that a hundred runs end in when polished; then the kinds of ends of XOR networks and of a deep linear network.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from typing import Any

import torch
from torch import nn

import jensen
from jensen.ask.minima.inits import starts
from jensen.ask.minima.shares import wilson
from jensen.ask.minima.spec import spec
from jensen.ask.minima.stacks import trained
from jensen.ask.minima.unit import plan, run_unit
from jensen.gallery.student_teacher import student_teacher

PUBLISHED = {6: 0.003, 7: 0.055, 8: 0.126}
SPURIOUS = 1e-3


def differs(hits: int, runs: int, published: float) -> float:
    """The two-sided p value of Fisher's test against the published share of 1,000."""
    from scipy.stats import fisher_exact

    other = round(1000 * published)
    found: Any = fisher_exact([[hits, runs - hits], [other, 1000 - other]])
    return float(found.pvalue)


def shares(runs: int, seed: int) -> float:
    """All three widths; the seconds they took."""
    begun = time.perf_counter()
    for k, published in PUBLISHED.items():
        start, cpu = time.perf_counter(), time.process_time()
        cost = student_teacher(k)
        asked = spec(
            optimiser="gd", step=0.1, steps=200_000, init="normal", scale=k**-0.5, seed=seed,
            stop=1e-9 / (2 * math.pi), stop_on="largest row", stack=runs, compiled=False,
        )  # fmt: skip
        done = trained(cost, asked, starts(cost, asked, range(runs)))
        hits = int((done.values >= SPURIOUS).sum())
        low, high = wilson(hits, runs, level=0.99)
        print(
            f"k = {k}: {hits} of {runs} spurious, {hits / runs:.2%} [{low:.2%}, {high:.2%}], published {published:.1%}, "
            f"p = {differs(hits, runs, published):.2g}; {int(done.steps.median())} steps (median), {int(done.steps.max())} "
            f"(most), {int((done.steps == asked.steps).sum())} cut off; {time.perf_counter() - start:.0f} s "
            f"({time.process_time() - cpu:.0f} s of processors)",
            flush=True,
        )
    return time.perf_counter() - begun


def census(name: str, cost: jensen.Cost, runs: int, **options: object) -> None:
    """What the ends are."""
    start, p = time.perf_counter(), plan(cost, spec(**options))
    ends = run_unit(cost, p, range(runs))
    kinds = Counter((e.kind, e.how, round(e.value, 6) + 0.0 if e.kind != "at infinity" else "") for e in ends)
    print(f"{name}: {time.perf_counter() - start:.0f} s")
    for (kind, how, value), count in kinds.most_common(8):
        print(f"  {count:4d} {kind} {how} {value}", flush=True)


def students(k: int, runs: int, seed: int) -> None:
    """The distinct ends, with the copies that the group makes of each."""
    start = time.perf_counter()
    found = jensen.minima(
        student_teacher(k),
        runs,
        optimiser="gd",
        step=0.1,
        steps=4000,
        init="normal",
        scale=k**-0.5,
        stop=1e-4,
        seed=seed,
    )
    print(f"k = {k}, polished: {found.statement} ({time.perf_counter() - start:.0f} s)")
    for e in found.ends:
        print(f"  {e.runs:4d} {e.kind} {e.how} {e.value + 0.0:.6f}, {e.orbit} copies", flush=True)


def xor(hidden: int) -> jensen.Cost:
    """XOR with logistic units and squared loss."""
    model = nn.Sequential(nn.Linear(2, hidden), nn.Sigmoid(), nn.Linear(hidden, 1), nn.Sigmoid())
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return jensen.Cost(model, nn.MSELoss(), (x, torch.tensor([[0.0], [1.0], [1.0], [0.0]])))


def deep_linear() -> jensen.Cost:
    """Three layers through a bottleneck, squared loss, random data."""
    torch.manual_seed(3)
    model = nn.Sequential(*[nn.Linear(i, o, bias=False) for i, o in ((3, 2), (2, 3), (3, 2))])
    return jensen.Cost(model, nn.MSELoss(), (torch.randn(20, 3), torch.randn(20, 2)))


def main(runs: int, seed: int, polished: int) -> None:
    took = shares(runs, seed)
    print(f"all three: {took:.0f} s")
    for k in PUBLISHED:
        students(k, polished, seed)
    census("XOR 2-2-1", xor(2), 256, init="normal", scale=1.0, steps=1000)
    census("XOR 2-3-1", xor(3), 128, init="normal", scale=1.0, steps=1000)
    census("deep linear", deep_linear(), 64)
    census("deep linear, critical points", deep_linear(), 64, init="normal", scale=0.5, steps=0, polish="saddle")


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    main(*given, *(1000, 0, 100)[len(given) :])
