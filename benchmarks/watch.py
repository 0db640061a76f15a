"""What watching a training costs: the share of the loop's time, the records it buys, and what starting warm saves.

One run on one thread: the digits MLP (64-256-256-10, 85,002 parameters) trained with minibatches, unwatched and watched at
several shares, for the same steps, the cost watched on 512 rows; then the products of a measurement from a fresh start and from the last one's vectors.
"""

from __future__ import annotations

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

STEPS, BATCH, EVERY = 3_000, 256, 50
WATCHED = 512  # rows of the watched cost
SHARES = (None, 0.05, 0.1, 0.3)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 10))


def training(share: float | None) -> dict[str, Any]:
    """One training; without a share it is not watched."""
    model = network()
    x, loss = images.float(), nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    begun = time.perf_counter()
    watch = None
    if share is not None:
        watch = jensen.watch(
            jensen.Cost(model, loss, (images[:WATCHED], labels[:WATCHED])), every=EVERY, share=share, show=False
        )
    ready = time.perf_counter()
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        pick = torch.randint(len(x), (BATCH,), generator=generator)
        optimiser.zero_grad()
        loss(model(x[pick]), labels[pick]).backward()
        optimiser.step()
        if watch is not None:
            watch.step()
    looped = time.perf_counter() - ready
    inside = [] if watch is None else [r for r in watch.trajectory.records if r["step"] > 0]
    return {
        "share": share,
        "loop_seconds": looped,
        "prepare_seconds": ready - begun,
        "measured": len(inside),
        "left_out": STEPS // EVERY - len(inside) if watch else 0,
        "measuring_seconds": sum(r["seconds"] for r in inside),
        "largest_share": max((r["share"] for r in inside), default=0.0),
        "weights": float(sum(p.detach().double().abs().sum() for p in model.parameters())),
    }


def starts(gap: int, measurements: int = 8) -> dict[str, Any]:
    """Products of a measurement, from a fresh start each time and from the last one's vectors."""
    products: dict[str, list[int]] = {"fresh": [], "warm": []}
    for kind, spent in products.items():
        model = network()
        x, loss = images.float(), nn.CrossEntropyLoss()
        watch = jensen.watch(jensen.Cost(model, loss, (images[:WATCHED], labels[:WATCHED])), share=None, show=False)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        generator = torch.Generator().manual_seed(1)
        for step in range(1, gap * measurements + 1):
            pick = torch.randint(len(x), (BATCH,), generator=generator)
            optimiser.zero_grad()
            loss(model(x[pick]), labels[pick]).backward()
            optimiser.step()
            if step % gap == 0:
                if kind == "fresh":
                    watch._looker.warm = None
                spent.append(watch.measure()["products"])
    return {"steps_between": gap, **{k: sum(v) / len(v) for k, v in products.items()}}


def main() -> None:
    torch.set_num_threads(1)
    rows = [training(share) for share in SHARES]
    plain = rows[0]["loop_seconds"]
    weights = rows[0]["weights"]
    for row in rows:
        row |= {"loop_ratio": row["loop_seconds"] / plain, "same_weights": row.pop("weights") == weights}
        print(row)
    for gap in (1, 20, 200):
        rows.append(starts(gap))
        print(rows[-1])
    save("watch", rows)


if __name__ == "__main__":
    main()
