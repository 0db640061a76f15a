"""The groups of many random architectures: moves that change the cost (there must be none), refused candidates, and how often
the rank of the Jacobian leaves nothing unexplained. Run by ``make campaign``; prints one JSON line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import torch

import jensen
from ask.symmetry.grammar import each


def main(examples: int = 200, start: int = 0) -> None:
    """Try so many architectures."""
    seen: Counter[str] = Counter()
    told: list[str] = []

    def one(cost: jensen.Cost) -> None:
        try:
            group = jensen.symmetries(cost)
        except jensen.Misuse as e:
            seen["refused to answer"] += 1
            told.append(str(e))
            return
        seen["asked"] += 1
        seen[group.completeness.verdict] += 1
        seen["with refused factors"] += bool(group.refused)
        told.extend(group.refused)
        theta = {n: t + 0.3 * torch.randn_like(t) for n, t in cost.theta.items()}
        a, b = float(cost(theta)), float(cost(group.act(theta, group.sample(seen["asked"]))))
        if abs(a - b) > 1e-9 * (abs(a) + abs(b)):
            seen["MOVES THAT CHANGE THE COST"] += 1
            told.append(f"changed: {cost._model} {a} {b}")

    each(one, examples, start)
    print(json.dumps({"symmetry": dict(seen), "refused": told[:20]}))
    if seen["MOVES THAT CHANGE THE COST"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:3]))
