"""What the kernel proves of random architectures: each proved factor, and each false claim made from one, is compared with numbers.

Run by ``make campaign``; prints one JSON line. ``accepted and false`` must be 0.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from hypothesis import HealthCheck, given, seed, settings

import jensen
from ask.symmetry.cases import CASES
from ask.symmetry.false_moves import holds, mutants
from ask.symmetry.grammar import costs
from jensen.ask.symmetry.proof import gaps
from jensen.trace import trace


def compared(cost: jensen.Cost, seen: Counter[str]) -> None:
    """Count what is proved of a cost's group and of claims near it, beside what numbers say."""
    group = jensen.symmetries(cost, completeness=False)
    problem = trace(cost).problem
    for f, proved in zip(group.factors, group.proved, strict=True):
        seen[f"{f.kind}: {'proved' if proved else 'tried'}"] += 1
        for other in mutants(f, cost.blocks):
            true = holds(problem, other, cost.theta, group.frames)
            accepted = gaps(problem, [other], group.frames) == ("",)
            seen[f"claims {'accepted' if accepted else 'refused'} and {'true' if true else 'false'}"] += 1


def main(examples: int = 200, start: int = 0) -> None:
    """Try so many architectures."""
    seen: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(costs())
    def one(cost: jensen.Cost) -> None:
        seen["architectures"] += 1
        compared(cost, seen)

    one()
    for case in CASES if examples >= 100 else ():
        seen["architectures"] += 1
        compared(case.build(), seen)
    print(json.dumps({"invariance": dict(sorted(seen.items()))}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
