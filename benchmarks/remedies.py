"""Which remedies are found for the examples, and how long the search takes: ``python benchmarks/remedies.py``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from _results import save

import jensen
from jensen.target import resolve

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TARGETS = (
    "digits_mlp.py", "digits_convnet.py", "frozen_head.py:whole", "rbf_network.py", "deep_linear.py", "lstm.py",
    "icnn.py:network", "moving_average.py", "moving_average.py:second_order", "gpt.py", "resnet50.py",
)  # fmt: skip


def main(targets: tuple[str, ...]) -> None:
    """One row an example: kinds, how many, wall and processor seconds."""
    rows = []
    for target in targets:
        cost = resolve(str(EXAMPLES / target))
        start = time.process_time()
        answer = jensen.remedies(cost)
        row = {
            "example": target,
            "parameters": sum(t.numel() for t in cost.theta.values()),
            "kinds": sorted({r.kind for r in answer.remedies}),
            "remedies": len(answer.remedies),
            "seconds": round(answer.seconds, 1),
            "processor": round(time.process_time() - start, 1),
            "not tried": [t.kind for t in answer.tried if t.why.startswith("not tried")],
        }
        print(row, flush=True)
        rows.append(row)
    if targets == TARGETS:
        print(save("remedies", rows))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or TARGETS)
