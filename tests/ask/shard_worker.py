"""Run in each of several processes: rank, processes, and the folder in which they meet and write their results."""

from __future__ import annotations

import contextlib
import sys
import warnings
from itertools import pairwise

import torch
import torch.distributed as dist
from torch import nn

import jensen
from jensen.ask.curvature import nearby
from jensen.errors import ChunkWarning

PIECES = [(0, 8), (8, 16), (16, 24)]  # of unequal weights, by their classes


def make(rows: list[tuple[int, int]], reduction: str = "mean") -> jensen.Cost:
    """A classifier with class weights and a penalty, on these rows of the data."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x, y = torch.randn(24, 4), torch.randint(0, 3, (24,))
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 0.5]), reduction=reduction)
    penalty = None if reduction == "sum" else (lambda p: 0.1 * sum((t**4).sum() for t in p.values()))
    return jensen.Cost(model, loss, [(x[a:b], y[a:b]) for a, b in rows], penalty=penalty)


def points(rows: list[tuple[int, int]]) -> dict[str, tuple[jensen.Cost, int]]:
    """Least squares at special points of all 24 rows, which are none of a part of them; with their zero modes."""
    generator = torch.Generator().manual_seed(2)
    x, y = (torch.randn(24, k, generator=generator, dtype=torch.float64) for k in (2, 1))
    best = torch.linalg.lstsq(x, y).solution
    if dist.is_initialized():  # LAPACK's least squares differ by their last bits from one call to the next
        dist.broadcast(best, 0)
    out = {}
    for name, widths, values, zero in (
        ("minimum", (2, 1), (best.T,), 0),
        ("orbit", (2, 1, 1), (best.T / 2, torch.full((1, 1), 2.0)), 1),
        ("saddle", (2, 1, 1), (torch.zeros(1, 2), torch.zeros(1, 1)), 0),
    ):
        layers = [nn.Linear(a, b, bias=False).double() for a, b in pairwise(widths)]
        for layer, value in zip(layers, values, strict=True):
            layer.weight.data.copy_(value)
        pieces = [(x[a:b], y[a:b]) for a, b in rows]
        out[name] = (jensen.Cost(nn.Sequential(*layers), nn.MSELoss(), pieces), zero)
    # A minimum with a ReLU at exactly zero in the first row alone, which the second process does not have.
    hinge = nn.Sequential(nn.Linear(2, 1, bias=False).double(), nn.ReLU())
    hinge[0].weight.data.copy_(torch.tensor([[1.0, 1.0]]))
    bright = torch.cat([torch.tensor([[1.0, -1.0]], dtype=torch.float64), x[1:].abs() + 0.1])
    pieces = [(bright[a:b], hinge(bright[a:b]).detach()) for a, b in rows]
    out["kink"] = (jensen.Cost(hinge, nn.MSELoss(), pieces), 0)
    # Least absolute errors: 0 is the median of all rows, three of which are there, but not that of either process's.
    bias = nn.Linear(1, 1).double()
    bias.weight.data[:], bias.bias.data[:] = 0.0, 0.0
    bias.weight.requires_grad_(False)
    levels = torch.tensor([*range(1, 7), 0, 0, 0, *range(7, 12), *range(-10, 0)], dtype=torch.float64)[:, None]
    out["median"] = (jensen.Cost(bias, nn.L1Loss(), [(levels[a:b], levels[a:b]) for a, b in rows]), 0)
    apart = nn.Linear(2, 1, bias=False).double()
    apart.weight.data.copy_(1000 * best.T)
    signs = torch.sign(x @ best)
    loss = nn.SoftMarginLoss()
    out["infinity"] = (jensen.Cost(apart, loss, [(x[a:b], signs[a:b]) for a, b in rows]), 0)
    return out


def kinds(rows: list[tuple[int, int]]) -> dict[str, tuple[str, int, float]]:
    """What classify says of these points: kind, index, and J as it was read there."""
    found = {name: jensen.classify(cost, symmetries=zero) for name, (cost, zero) in points(rows).items()}
    return {name: (c.kind, c.index, c.evidence.get("ahead", [c.evidence["value"]])[0]) for name, c in found.items()}


def subset(rows: list[tuple[int, int]]) -> tuple[float, ...]:
    """Errors of both ends and of the trace from having 24 rows of 100."""
    found = jensen.spectrum(make(rows), k=2, population=100).subset
    return (float(found.groups), *found.highest, *found.lowest, found.trace)


def rounded(rank: int) -> tuple[torch.Tensor, float]:
    """Products at a point to which each process comes with its own rounding, by vectors of its own rounding."""
    start = nearby.point(make(PIECES), None, "*", 1.0)
    v = vectors(start.operator.n) * (1 + 1e-13 * rank)
    there = nearby.after(start, 0.01 * v[:, 0])
    return there.operator @ v, there.value


class Stop(Exception):
    pass


def resumed(rank: int, path: str) -> tuple[float, ...]:
    """Ends and trace of a solve that was stopped and gone on with, kept by the first process alone."""
    asked = {"k": 2, "method": "iterative", "probes": 2, "steps": 8, "every": 0.0}
    asked["checkpoint"] = f"{path}/solve.json" if rank == 0 else None
    steps = []

    def stop(figures: dict) -> None:
        steps.append(figures)
        if len(steps) == 5:
            raise Stop

    with contextlib.suppress(Stop):
        jensen.spectrum(make(PIECES), progress=stop, **asked)
    found = jensen.spectrum(make(PIECES), **asked)
    return (*(e.value for e in (*found.highest, *found.lowest)), found.trace.value, float(len(steps)))


def told(rank: int) -> list[str]:
    """What is told of one chunk in each process whose class weights are hidden in a function."""
    model, weight = nn.Linear(4, 3), torch.tensor([1.0, 9.0, 0.1])
    for p in model.parameters():
        p.data.copy_(torch.arange(p.numel()).reshape(p.shape).cos())
    x, y = torch.arange(96.0).reshape(24, 4).sin(), torch.arange(24) ** 2 % 3
    own = slice(0, 12) if rank == 0 else slice(12, 24)
    cost = jensen.Cost(model, lambda o, t: nn.functional.cross_entropy(o, t, weight.to(o.dtype)), (x[own], y[own]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jensen.hessian(cost, shard="own")
        jensen.hessian(cost, shard="own")
    return [str(w.message) for w in caught if issubclass(w.category, ChunkWarning)]


def vectors(n: int) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def main(rank: int, count: int, path: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{path}/meeting", rank=rank, world_size=count)
    own = PIECES[:1] if rank == 0 else PIECES[1:]
    out: dict[str, object] = {}
    for name, cost in (("replicated", make(PIECES)), ("own", make(own)), ("sum", make(own, "sum"))):
        h = jensen.hessian(cost)
        out[name] = (h.value, h.gradient, h @ vectors(h.n), h.report.shard)
    out["kinds"], out["kinds replicated"] = kinds(own), kinds(PIECES)
    out["subset"], out["subset replicated"] = subset(own), subset(PIECES)
    out["resumed"] = resumed(rank, path)
    out["told"] = told(rank)
    out["rounded"] = rounded(rank)
    for name, cost, how in (("same sum", make(PIECES, "sum"), {}), ("unlike", make(own), {"shard": "replicated"})):
        try:
            jensen.hessian(cost, **how)
        except jensen.Misuse as e:
            out[name] = str(e)
    try:
        at = {"0.bias": torch.full((5,), float(rank), dtype=torch.float64)}
        jensen.hessian(make(PIECES), at=at)
    except jensen.Misuse as e:
        out["parameters"] = str(e)
    try:  # one process alone asks for what there is not
        jensen.hessian(make(PIECES), of="0.*" if rank == 0 else "nothing.*")
    except jensen.Misuse as e:
        out["alone"] = str(e)
    try:  # blocks of one size, whose products could be added
        jensen.hessian(make(PIECES), of="0.bias" if rank == 0 else "2.weight")
    except jensen.Misuse as e:
        out["blocks"] = str(e)
    torch.save(out, f"{path}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
