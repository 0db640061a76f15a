"""Run in each of several processes: rank, processes, and the folder in which they meet and write their results."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from torch import nn

import jensen

PIECES = [(0, 8), (8, 16), (16, 24)]  # of unequal weights, by their classes


def make(rows: list[tuple[int, int]], reduction: str = "mean") -> jensen.Cost:
    """A classifier with class weights and a penalty, on these rows of the data."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    x, y = torch.randn(24, 4), torch.randint(0, 3, (24,))
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 0.5]), reduction=reduction)
    penalty = None if reduction == "sum" else (lambda p: 0.1 * sum((t**4).sum() for t in p.values()))
    return jensen.Cost(model, loss, [(x[a:b], y[a:b]) for a, b in rows], penalty=penalty)


def vectors(n: int) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def main(rank: int, count: int, path: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{path}/meeting", rank=rank, world_size=count)
    own = PIECES[:1] if rank == 0 else PIECES[1:]
    out: dict[str, object] = {}
    for name, cost in (("replicated", make(PIECES)), ("own", make(own)), ("sum", make(own, "sum"))):
        h = jensen.hessian(cost)
        out[name] = (h.value, h.gradient, h @ vectors(h.n), h.report.shard)
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
    torch.save(out, f"{path}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
