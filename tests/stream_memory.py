"""A program that proves, saves and verifies a claim about streamed data; prints MB of data, MB that memory grew, verdict."""

from __future__ import annotations

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

import jensen
from jensen import certificate, chunks

ROWS, COLUMNS, MB = 2**15, 8, 2**20
chunks.IN_MEMORY = certificate.EMBED_LIMIT = MB


class Stream:
    """Chunks of 2 MB, made when they are asked for."""

    def __init__(self, count: int):
        self.count = count

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for k in range(self.count):
            g = torch.Generator().manual_seed(k)
            rows = ROWS if k < self.count - 1 else ROWS // 2
            yield torch.rand(rows, COLUMNS, generator=g, dtype=torch.float64), torch.zeros(rows, 1)


def work(count: int) -> str:
    """Everything that walks over the data."""
    torch.manual_seed(0)
    cost = jensen.Cost(nn.Linear(COLUMNS, 1), nn.MSELoss(), Stream(count))
    theta = {n: t.requires_grad_() for n, t in cost.theta.items()}
    torch.autograd.grad(cost(theta), list(theta.values()))
    finding = jensen.check(cost)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.jensen"
        finding.save(file)
        jensen.verify(file, cost=cost)
    return finding.verdict.value


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    count = 48
    work(3)
    before = peak()
    verdict = work(count)
    sys.stdout.write(f"{count * ROWS * COLUMNS * 8 / MB} {peak() - before} {verdict}\n")
