"""What the kernel proves of random architectures: each proved factor, and each false claim made from one, is compared with numbers.

    python tools/campaign_invariance.py [random architectures] [seed]

Run by ``make campaign``; prints one JSON line, and ends with 1 where ``accepted and false`` is not 0.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import jensen
from ask.symmetry.cases import CASES
from ask.symmetry.false_moves import holds, mutants
from ask.symmetry.grammar import each
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
    """Try so many random architectures, and those of the tests (alone for 0)."""
    seen: Counter[str] = Counter()

    def one(cost: jensen.Cost) -> None:
        seen["architectures"] += 1
        compared(cost, seen)

    if examples:
        each(one, examples, start)
    for case in CASES if examples >= 100 or not examples else ():
        one(case.build())
    print(json.dumps({"invariance": dict(sorted(seen.items()))}))
    if seen["claims accepted and false"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
