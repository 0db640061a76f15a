"""Alignment of two trained networks beside rebasin 0.0.47: time, barrier before and after, and a curve between them.

The digits MLPs 64-64-64-10 and 64-512-512-10 (ReLU), trained from two seeds. rebasin is timed where it can be imported; it
wants packages of its own, so install it elsewhere and point PYTHONPATH there:

    pip install --no-deps --target DIR rebasin==0.0.47 torchview graphviz tqdm pyyaml

Both sides are timed from two modules to the aligned copy: rebasin's constructor and its matching (which trace the models on two
rows), jensen.Cost and jensen.align (which reads the group on a few rows, and evaluates J on all data to tell whether the copy is
better: rebasin does not; it goes on to other methods only where the first copy is not good enough). Three times: in a process of its own, imports of what the first call needs included
("cold"); with a new cost or new networks in a process that has done it once; and with the same cost again, whose group is known.
Both draw the order in which layers take turns: medians over seeds. All barriers are measured by jensen.barrier on one cost; its
time comes on top of both sides alike.
"""

from __future__ import annotations

import copy
import statistics
import subprocess
import sys
import tempfile
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
SEEDS = 5
COLD = 2


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


def timed(fn: Any) -> tuple[float, Any]:
    """Processor time (other work on the machine does not count), and the answer."""
    begun = time.process_time()
    answer = fn()
    return time.process_time() - begun, answer


def peer(a: nn.Module, b: nn.Module, seed: int) -> nn.Module | None:
    """b as rebasin aligns it to a; None where it is not installed."""
    try:
        from rebasin import PermutationCoordinateDescent
    except ImportError:
        return None
    b = copy.deepcopy(b)
    torch.manual_seed(seed)
    PermutationCoordinateDescent(a, b, images[:2]).rebasin()
    return b


def ours(a: nn.Module, b: nn.Module, seed: int) -> Any:
    """b as jensen aligns it to a, from the two modules."""
    cost = jensen.Cost(a, nn.CrossEntropyLoss(), (images, labels))
    return jensen.align(cost, a, b, seed=seed).theta


def cold(side: str, a: nn.Module, b: nn.Module) -> float:
    """Processor time of the first alignment in a process, with what it imports."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pair.pt"
        torch.save((a, b), file)
        out = subprocess.run([sys.executable, __file__, side, file], capture_output=True, text=True, check=True)
    return float(out.stdout.split()[-1])


def alone(side: str, file: str) -> None:
    """What a process of its own does for ``cold``."""
    a, b = torch.load(file, weights_only=False)
    print(timed(lambda: (ours if side == "jensen" else peer)(a, b, 0))[0])


def sides(width: int, a: nn.Module, b: nn.Module, cost: jensen.Cost) -> list[dict[str, Any]]:
    """Both sides, in turn seed by seed so that a busy machine disturbs both alike; medians."""
    known = jensen.Cost(a, nn.CrossEntropyLoss(), (images, labels))
    ways = {
        "rebasin 0.0.47": lambda seed: peer(a, b, seed),
        "jensen": lambda seed: ours(a, b, seed),
        "jensen, same cost again": lambda seed: jensen.align(known, a, b, seed=seed).theta,
        "jensen, weights": lambda seed: jensen.align(known, a, b, "weights", restarts=0, seed=seed).theta,
    }
    ways = {name: way for name, way in ways.items() if way(0) is not None}
    found: dict[str, list[tuple[float, Any]]] = {name: [] for name in ways}
    for seed in range(SEEDS):
        for name, way in ways.items():
            found[name].append(timed(lambda w=way, k=seed: w(k)))
    rows = []
    for name, runs in found.items():
        answer = [jensen.barrier(cost, a, end, tolerance=1e-3).height for _, end in runs]
        seconds = [t for t, _ in runs]
        first = [cold(name.split()[0], a, b) for _ in range(COLD)] if "," not in name else []
        rows.append(
            {
                "width": width, "method": name, "seconds": statistics.median(seconds), "fastest": min(seconds),
                "height": statistics.median(answer), "heights": answer, "cold": statistics.median(first) if first else None,
            }
        )  # fmt: skip
    return rows


def compared(width: int, curve: bool) -> list[dict[str, Any]]:
    """One width: a row for each way to align."""
    a, b = trained(width, 0), trained(width, 1)
    cost = jensen.Cost(a, nn.CrossEntropyLoss(), (images, labels))
    taken, straight = timed(lambda: jensen.barrier(cost, a, b, tolerance=1e-3))
    rows = [{"width": width, "method": "none", "seconds": 0.0, "height": straight.height, "ends": straight.ends}]
    rows.append({"width": width, "method": "the barrier itself", "seconds": taken, "height": straight.height})
    rows += sides(width, a, b, cost)
    full, found = timed(lambda: jensen.align(cost, a, b, enough=0))
    rows.append(row(width, "jensen, all methods", full, jensen.barrier(cost, a, found.theta, tolerance=1e-3)))
    if curve:
        for name, end in (("curve to b", b), ("curve to the copy of b", found.theta)):
            way = jensen.connect(cost, a, end, "bezier", steps=25)
            rows.append({**row(width, name, way.seconds, way), "top": way.top})
    return rows


def row(width: int, method: str, seconds: float, answer: Any) -> dict[str, Any]:
    return {"width": width, "method": method, "seconds": seconds, "height": answer.height}


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        alone(*sys.argv[1:])
        sys.exit()
    found = []
    for width, curve in ((512, False), (64, True)):
        rows = compared(width, curve)
        for r in rows:
            first = f" (cold {r['cold']:.2f})" if r.get("cold") else ""
            print(
                f"width {r['width']}: {r['method']}: {r['height']:.4f}, {r['seconds']:.2f} s{first} of the processor",
                flush=True,
            )
        found += rows
        save("paths", found, "rebasin", "torchview")
