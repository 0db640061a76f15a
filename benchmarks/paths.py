"""Alignment of two trained networks beside rebasin 0.0.47: time, barrier before and after, and a curve between them.

The digits MLPs 64-64-64-10 and 64-512-512-10 (ReLU), trained from two seeds. rebasin is timed where it can be imported; it
wants packages of its own, so install it elsewhere and point PYTHONPATH there:

    pip install --no-deps --target DIR rebasin==0.0.47 torchview graphviz tqdm pyyaml

All barriers are measured by jensen.barrier on the same cost; rebasin's time is that of its constructor (which traces the
model) and its matching, ours that of jensen.symmetries (which traces the cost) and jensen.align.
"""

from __future__ import annotations

import copy
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from _results import save

import jensen
from digits_mlp import images, labels

STEPS = 300
REPEATS = 2


def trained(width: int, seed: int) -> nn.Module:
    """A ReLU network after some steps of Adam on all digits."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    ).double()  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(STEPS):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
    return model


def timed(fn: Any, repeats: int = REPEATS) -> tuple[float, Any]:
    """The shortest processor time of some (other work on the machine does not count), and the last answer."""
    best, answer = float("inf"), None
    for _ in range(repeats):
        begun = time.process_time()
        answer = fn()
        best = min(best, time.process_time() - begun)
    return best, answer


def peer(a: nn.Module, b: nn.Module) -> nn.Module | None:
    """b as rebasin aligns it to a; None where it is not installed."""
    try:
        from rebasin import PermutationCoordinateDescent
    except ImportError:
        return None
    b = copy.deepcopy(b)
    found = PermutationCoordinateDescent(a, b, images[:2])
    found.rebasin()
    return b


def ours(cost: jensen.Cost, a: Any, b: Any, **options: Any) -> Any:
    """An alignment with the reading of the group, from the start."""
    return jensen.align(cost, a, b, symmetries=jensen.symmetries(fresh(cost)), **options)


def fresh(cost: jensen.Cost) -> jensen.Cost:
    """The same cost without its traced programs."""
    return cost.restrict("*")


def compared(width: int, curve: bool) -> list[dict[str, Any]]:
    """One width: a row for each way to align."""
    a, b = trained(width, 0), trained(width, 1)
    cost = jensen.Cost(a, nn.CrossEntropyLoss(), (images, labels))
    straight = jensen.barrier(cost, a, b)
    rows = [{"width": width, "method": "none", "seconds": 0.0, "height": straight.height, "ends": straight.ends}]
    read, group = timed(lambda: jensen.symmetries(fresh(cost)))
    rows.append({"width": width, "method": "jensen, the group", "seconds": read, "height": straight.height})
    quick, found = timed(lambda: jensen.align(cost, a, b, "weights", symmetries=group, restarts=0))
    rows.append(row(width, "jensen, weights, group known", quick, jensen.barrier(cost, a, found.theta)))
    quick, found = timed(lambda: ours(cost, a, b, method="weights", restarts=0))
    rows.append(row(width, "jensen, weights", quick, jensen.barrier(cost, a, found.theta)))
    seconds, other = timed(lambda: peer(a, b))
    if other is not None:
        rows.append(row(width, "rebasin 0.0.47", seconds, jensen.barrier(cost, a, other)))
    full, found = timed(lambda: ours(cost, a, b), 1)
    rows.append(row(width, "jensen, all methods", full, jensen.barrier(cost, a, found.theta)))
    if curve:
        for name, end in (("curve to b", b), ("curve to the copy of b", found.theta)):
            way = jensen.connect(cost, a, end, "bezier", steps=25)
            rows.append({**row(width, name, way.seconds, way), "top": way.top})
    return rows


def row(width: int, method: str, seconds: float, answer: Any) -> dict[str, Any]:
    return {"width": width, "method": method, "seconds": seconds, "height": answer.height}


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = []
    for width, curve in ((512, False), (64, True)):
        rows = compared(width, curve)
        for r in rows:
            print(
                f"width {r['width']}: {r['method']}: {r['height']:.4f}, {r['seconds']:.2f} s of the processor",
                flush=True,
            )
        found += rows
        save("paths", found, "rebasin", "torchview")
