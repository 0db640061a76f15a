"""Whole Adam steps of many copies of a network at once, beside the ordinary loop over copies, in one run.

Copies of a 64-25-10 tanh network on scikit-learn's 1,797 digits, float32: with all data in every step, and with minibatches of
64. The loop is what one writes by hand: torch.optim.Adam on one model after another. The stack is what ``jensen.minima``
trains with, as a graph and compiled. Rounds alternate and the best of each counts, so that a busy machine disturbs both alike;
the ratio of processor time and the machine's load are told too.
The arithmetic limit is the time of the matrix products alone at the speed of a large one on the same device.

    python benchmarks/minima.py [cpu] [cuda]
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from _results import save
from torch import nn

import jensen
from jensen.ask.minima.batches import Full, batches
from jensen.ask.minima.inits import generator
from jensen.ask.minima.spec import Spec
from jensen.ask.minima.train import adam
from jensen.linalg.population import Population
from jensen.trace import trace

ROWS, HIDDEN, BATCH = 1797, 25, 64
ROUNDS = 7
COPIES = {("cpu", None): 16, ("cpu", BATCH): 256, ("cuda", None): 1000, ("cuda", BATCH): 1000}
WANTED = {("cpu", None): 2.5, ("cpu", BATCH): 10.0, ("cuda", None): 500.0}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 10))


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    return torch.tensor(data.data, dtype=torch.float32) / 16, torch.tensor(data.target)


def flops(rows: int) -> float:
    """Of the products of one copy's step: the data's gradient is not among them."""
    return 2.0 * rows * (2 * 64 * HIDDEN + 3 * HIDDEN * 10)


class Loop:
    """One model's step, over and over, with the same rows as the stack takes."""

    def __init__(self, batch: int | None, device: str):
        x, y = digits()
        self.x, self.y, self.batch = x.to(device), y.to(device), batch
        self.model = network().to(device)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-2)
        self.order = torch.randperm(ROWS, generator=generator(0, 0, "batches"))
        self.step = 0

    def __call__(self) -> None:
        x, y = self.x, self.y
        if self.batch:
            place = self.step % (ROWS // self.batch)
            pick = self.order[place * self.batch : (place + 1) * self.batch]
            x, y = x[pick], y[pick]
        self.optimiser.zero_grad()
        nn.functional.cross_entropy(self.model(x), y).backward()
        self.optimiser.step()
        self.step += 1


class Stack:
    """One step of every copy."""

    def __init__(self, batch: int | None, copies: int, compiled: bool, device: str):
        cost = jensen.Cost(network(), nn.CrossEntropyLoss(), digits(), dtype=torch.float32)
        population = Population(trace(cost).problem, torch.float32, device)
        self.spec = Spec(optimiser="adam", step=1e-2, batch=batch, compiled=compiled)
        if batch is None:
            self.gradients: Callable[..., Any] = Full(population, compiled)
        else:
            self.gradients = batches(cost, self.spec, torch.float32, population.device, population.flat)
        start = torch.nn.utils.parameters_to_vector(network().parameters()).detach().to(device)
        self.points, self.state, self.step = start.repeat(copies, 1), {}, 0

    def __call__(self) -> None:
        with torch.no_grad():
            _, slopes = self.gradients(self.points, self.step)
            self.step += 1
            self.points = adam(self.points, slopes, self.state, self.step, self.spec)


def seconds(f: Callable[[], None], times: int, device: str) -> tuple[float, float]:
    """Of one call, from so many: on the clock, and of all processors together."""
    start, work = time.perf_counter(), time.process_time()
    for _ in range(times):
        f()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / times, (time.process_time() - work) / times


def peak(device: str) -> float:
    """FLOP/s of a large product in float32."""
    n = 2048 if device == "cpu" else 8192
    a = torch.randn(n, n, device=device)

    def product() -> None:
        torch.mm(a, a)

    product()
    return 2.0 * n**3 / min(seconds(product, 2, device)[0] for _ in range(5))


def measured(batch: int | None, device: str) -> list[dict[str, Any]]:
    """The loop, the graph and the compiled graph, in turns."""
    copies = COPIES[device, batch]
    loop = Loop(batch, device)
    stacks = {c: Stack(batch, copies, c, device) for c in (False, True)}
    for f in (loop, *stacks.values()):
        for _ in range(3):
            f()
    best: dict[Any, float] = {}
    work: dict[Any, float] = {}
    for _ in range(ROUNDS):
        for name, f, per in (("loop", loop, 1), *((c, s, copies) for c, s in stacks.items())):
            took, spent = (t / per for t in seconds(f, 40 if name == "loop" else 4, device))
            best[name], work[name] = min(best.get(name, took), took), min(work.get(name, spent), spent)
    if device == "cpu":
        same(batch)
    top, wanted = peak(device), flops(batch or ROWS)
    limit = wanted / top
    return [
        {
            "device": device, "batch": batch, "copies": copies, "compiled": name,
            "loop_us": 1e6 * best["loop"], "stack_us": 1e6 * best[name], "ratio": best["loop"] / best[name],
            "wanted": WANTED.get((device, batch)), "limit": best["loop"] / limit, "of_limit": limit / best[name],
            "flops": wanted / best[name], "peak_flops": top, "processor_ratio": work["loop"] / work[name], "load": os.getloadavg()[0],
        }
        for name in (False, True)
    ]  # fmt: skip


def same(batch: int | None) -> None:
    """The stack's steps must be the loop's, or nothing is compared."""
    loop, stack = Loop(batch, "cpu"), Stack(batch, 2, False, "cpu")
    for _ in range(5):
        loop()
        stack()
    want = torch.nn.utils.parameters_to_vector(loop.model.parameters()).detach()
    if not torch.allclose(stack.points[1], want, atol=1e-5):
        raise SystemExit("the stack's steps are not those of the loop")


def main(devices: list[str]) -> None:
    for device in devices:
        rows = [row for batch in (None, BATCH) for row in measured(batch, device)]
        for row in rows:
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
        save("minima" if device == "cpu" else "minima_gpu", rows, "scikit-learn", cuda=device == "cuda")


if __name__ == "__main__":
    main(sys.argv[1:] or ["cpu"] + ["cuda"] * torch.cuda.is_available())
