"""Does the chance of a bad end fall with width? The study of Choromanska et al. (2015) on scikit-learn's digits, on a CPU, or wider on a GPU.

    python tools/campaign_widths.py [runs] [engine] [journal] [device]

One hidden layer of ReLU units, cross entropy, 1,000 digits to train on and 797 to test, gradient descent with momentum;
every run starts from its own random weights and sees the same data. Nothing is polished: as in the paper, what is compared
is where trainings of one length end, so no end is called a minimum here. Prints a row a width, and writes out/widths.html
and out/widths.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

import jensen
from jensen.show.minima import estimate

WIDTHS = {"cpu": [2, 3, 5, 10, 25, 50], "cuda": [2, 5, 10, 25, 50, 100, 250, 500]}
HOW = {"optimiser": "sgd", "step": 0.1, "momentum": 0.9, "steps": 1000, "batch": 100, "polish": None, "stack": 50}


def family(width: int) -> tuple[jensen.Cost, tuple[torch.Tensor, torch.Tensor]]:
    """64 pixels, so many ReLU units, 10 classes."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float64) / 16, torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1000], order[1000:]
    model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    return jensen.Cost(model, nn.CrossEntropyLoss(), (x[train], y[train])), (x[test], y[test])


def main(runs: int, engine: str, journal: str | None, device: str) -> None:
    """Run, print, write."""
    how = HOW if device == "cpu" else HOW | {"stack": runs, "dtype": "float32", "device": device}
    found = jensen.minima(family, runs, WIDTHS[device], engine=engine, journal=journal, progress=_told, **how)
    print(found.statement)
    for w in found.widths:
        if w.train is not None and w.test is not None:
            print(
                f"width {w.width:3d}: train {w.train.mean.value:.4f}, deviation {estimate(w.train.deviation)}; "
                f"test {w.test.mean.value:.4f}, deviation {estimate(w.test.deviation)}; correlation {estimate(w.correlation)}"
            )
    out = Path("out")
    out.mkdir(exist_ok=True)
    jensen.report(found, out / "widths.html", title="tools/campaign_widths.py")
    (out / "widths.json").write_text(json.dumps([w.to_dict() for w in found.widths], indent=1))


def _told(figures: dict[str, Any]) -> None:
    left = figures["left"]
    print(f"{figures['units']} of {figures['of']} units, {left or 0:.0f} s left", file=sys.stderr, flush=True)


if __name__ == "__main__":
    a = sys.argv[1:]
    runs, engine, journal, device = (*a, *("200", "processes", "", "cpu")[len(a) :])
    main(int(runs), engine, journal or None, device)
