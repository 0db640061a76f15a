"""A Hessian product of 10 million parameters over 50,000 images, streamed within a stated memory budget.

The images are made chunk by chunk and never held together; the kept linearisation of all chunks would not fit, so the
operator recomputes chunk by chunk. Reported: what it says it needs, what the process took at most, and by how much it grew
from the call of ``hessian`` on, the capture of the cost and the caller's own vectors included. ``ROWS=5000`` in
the environment makes a shorter run.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import jensen

ROWS, CHUNK, BUDGET = int(os.environ.get("ROWS", "50000")), 500, 2 * 2**30


class Images:
    """Random images of 3 x 32 x 32, the same on every pass."""

    def __len__(self) -> int:
        return ROWS // CHUNK

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(len(self)):
            yield (
                torch.randn(CHUNK, 3, 32, 32, generator=generator),
                torch.randint(0, 10, (CHUNK,), generator=generator),
            )


def peak() -> float:
    """The process's largest size so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 2560), nn.Tanh(), nn.Linear(2560, 900), nn.Tanh(), nn.Linear(900, 10)
    )
    n = sum(p.numel() for p in model.parameters())
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), Images(), dtype=torch.float32)
    start, clock = peak(), time.perf_counter()
    h = jensen.hessian(cost, memory=BUDGET)
    made = time.perf_counter() - clock
    v = torch.randn(h.n)
    h @ v
    clock = time.perf_counter()
    out = h @ v
    took = time.perf_counter() - clock
    report = h.report.to_dict()
    row = {
        "parameters": n, "images": ROWS, "budget_mib": BUDGET / 2**20, "seconds_to_make": made,
        "seconds_a_product": took, "peak_mib": peak(), "peak_before_mib": start, "grown_mib": peak() - start, "mode": report["mode"],
        "kept": report["kept"], "terms": report["terms"], "memory": report["memory"], "finite": bool(out.isfinite().all()),
        "check": report["checks"],
    }  # fmt: skip
    print(row)
    from _results import save

    print(save("curvature_memory", [row]))


if __name__ == "__main__":
    main()
