"""Hessian-vector products on a CUDA device beside the peers: what one product costs, in gradients of the same cost.

Each contender has a process of its own. All are made ready at once, which takes minutes of tracing and compiling, and are then
timed one after the other, so that none disturbs another. The gradient (plain eager torch) is timed in the same process before
and after; float32, TF32 off but where it is named. Ratios are of medians; the device's queue is waited for at the end of every
batch of calls.

    python benchmarks/curvature_gpu.py [model ...]
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL
from statistics import median
from tempfile import TemporaryFile
from threading import Thread, Timer
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "4")

import torch
from _results import save
from curvature_products import COLUMNS, CONTENDERS, Apply, mlp, plain_torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from curvature_models import GPT, images, resnet18

BATCHES, CALLS = 7, 8
MEMORY = 30 * 2**30  # bytes for each of ours: several are there at once
READY = 240.0  # seconds in which a contender is ready, or is left out
MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor, Tensor]]] = {
    "mlp": lambda: mlp(torch.float32),
    "gpt": lambda: (
        GPT(12, 256, 8, 4096, context=256, wider=4), torch.randint(4096, (8, 256)), torch.randint(4096, (8, 256))
    ),
    "resnet18": lambda: (resnet18(32, lambda c: nn.GroupNorm(8, c)), *images(512, size=32)),
}  # fmt: skip
MEASURE = "--measure"
TF32, COMPILED = "jensen, 8 columns, TF32", "jensen, 8 columns, compiled"
WANTED = {"mlp": 0.09, "gpt": 0.5, "resnet18": 1.2}


def jensen(columns: int, compiled: bool | None, tf32: bool = False) -> Callable[..., Any]:
    """The operator on the device; the cost itself stays on the CPU."""

    def make(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Any, int]:
        from jensen import Cost, hessian

        cost = Cost(model, nn.CrossEntropyLoss(), (x, y), dtype=torch.float32)
        width = columns if columns > 1 else None
        return hessian(cost, device="cuda", width=width, compiled=compiled, memory=MEMORY, tf32=tf32), columns

    return make


OURS: dict[str, Callable[..., Any]] = {
    "jensen": jensen(1, False),
    "jensen, 8 columns": jensen(COLUMNS, False),
    COMPILED: jensen(COLUMNS, True),
    TF32: jensen(COLUMNS, False, True),
}
PEERS = {n: c for n, c in CONTENDERS.items() if not n.startswith("jensen")}

ALONE = ("jensen", "plain torch", "curvlinops")  # one column at a time, and what PyHessian does too
LEFT_OUT = {"gpt": (*ALONE, TF32), "resnet18": (*ALONE, TF32, COMPILED)}  # which takes more than 240 s to compile


def seconds(f: Callable[[], Any], calls: int) -> list[float]:
    """Of one call, in every batch of so many."""
    out = []
    for _ in range(BATCHES):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            f()
        torch.cuda.synchronize()
        out.append((time.perf_counter() - start) / calls)
    return out


def measure(name: str, contender: str) -> dict[str, Any]:
    """One contender on one model; waits for a line of standard input before it measures."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    model, x, y = MODELS[name]()
    ours = contender in OURS
    made = OURS[contender](model, x, y) if ours else None
    model, x, y = model.cuda(), x.cuda(), y.cuda()
    params = list(model.parameters())
    n = sum(p.numel() for p in params)
    math = contextlib.nullcontext if ours else lambda: sdpa_kernel(SDPBackend.MATH)  # others have no second derivative
    with math():
        apply, columns = made or PEERS[contender](model, x, y)
    operator = apply
    apply = operator.__matmul__ if ours else operator
    v = torch.randn(n, columns, device="cuda") if columns > 1 else torch.randn(n, device="cuda")

    def gradient() -> Any:
        return torch.autograd.grad(nn.functional.cross_entropy(model(x), y), params)

    def product() -> Any:
        with math():
            return apply(v)

    product(), gradient()  # traced, checked, compiled
    torch.cuda.empty_cache()
    print("ready", flush=True)
    sys.stdin.readline()
    out = [torch.as_tensor(product()).detach() for _ in range(6)][-1]
    for _ in range(3):
        gradient()
    before, own, after = seconds(gradient, CALLS), seconds(product, max(CALLS // columns, 2)), seconds(gradient, CALLS)
    one, memory = median(before + after), torch.cuda.max_memory_allocated() / 2**20
    error = _error(model, x, y, v if columns == 1 else v[:, 0], out if columns == 1 else out[:, 0])
    row = {
        "model": name, "contender": contender, "parameters": n, "columns": columns,
        "gradients": median(own) / columns / one, "gradient_ms": one * 1e3, "product_ms": median(own) / columns * 1e3,
        "relative_error": error, "memory_MiB": memory,
    }  # fmt: skip
    return row | ({"report": operator.report.to_dict(), "kernels": _kernels(product)} if ours else {})


def _kernels(f: Callable[[], Any]) -> list[tuple[str, int, float]]:
    """Where the device's time goes: the kernels of a call with their numbers and milliseconds, the longest first."""
    from torch.profiler import ProfilerActivity, profile

    f()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        f()
        torch.cuda.synchronize()
    rows = [(e.key[:100], e.count, getattr(e, "self_device_time_total", 0.0) / 1e3) for e in seen.key_averages()]
    return sorted(rows, key=lambda r: -r[2])[:24]


def _error(model: nn.Module, x: Tensor, y: Tensor, v: Tensor, got: Tensor) -> float:
    """Against double backward in float64."""
    import copy

    twin = copy.deepcopy(model).double()
    with sdpa_kernel(SDPBackend.MATH):
        apply: Apply = plain_torch(twin, x.double() if x.is_floating_point() else x, y)[0]
        want = apply(v.double())
    return float((got.double() - want).norm() / want.norm())


class Started:
    """A contender's process: made ready in the background, and stopped where that takes too long."""

    def __init__(self, model: str, contender: str):
        self.log = TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, __file__, MEASURE, model, contender],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        self.ready = False
        self.thread = Thread(target=self._wait)
        self.thread.start()

    def _wait(self) -> None:
        limit = Timer(READY, self.process.kill)
        limit.start()
        self.ready = self.process.stdout.readline().strip() == "ready"  # pyright: ignore[reportOptionalMemberAccess]
        limit.cancel()

    def row(self) -> dict[str, Any]:
        """What it measured when it was told to, or why not."""
        out, _ = self.process.communicate("go\n" if self.ready else None)
        try:
            return json.loads(out.splitlines()[-1])
        except (IndexError, ValueError):
            if not self.ready and self.process.returncode == -SIGKILL:
                return {"failed": f"not ready in {READY:.0f} s"}
            self.log.seek(0)
            return {"failed": (self.log.read().strip().splitlines() or ["no reason given"])[-1][:300]}


def _words(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"fails: {row['failed'][:120]}"
    return f"{row['gradients']:6.3f} gradients of {row['gradient_ms']:.3f} ms, error {row['relative_error']:.0e}"


def main(models: list[str], contenders: list[str]) -> None:
    asked = [(m, c) for m in models for c in contenders if c not in LEFT_OUT.get(m, ())]
    running = [Started(m, c) for m, c in asked]
    for r in running:
        r.thread.join()
    print(f"{sum(r.ready for r in running)} of {len(asked)} are ready", flush=True)
    rows = []
    for (m, c), r in zip(asked, running, strict=True):
        row = {"model": m, "contender": c, **r.row()}
        rows.append(row)
        print(f"{m:9} {c:28} {_words(row)}", flush=True)
        save("curvature_gpu", rows, "curvlinops-for-pytorch", "hessian-eigenthings", "PyHessian", cuda=True)
    for m in models:
        found = [r for r in rows if r["model"] == m and "gradients" in r and "TF32" not in r["contender"]]
        own, best = (
            min((r for r in found if (r["contender"] in OURS) is ours), key=lambda r: r["gradients"], default=None)
            for ours in (True, False)
        )
        if own and best:
            ratio = own["gradients"] / best["gradients"]
            print(
                f"{m:9} {own['gradients']:.3f} (wanted {WANTED[m]}) against {best['gradients']:.3f} ({best['contender']}): {ratio:.2f}"
            )


if __name__ == "__main__":
    _, *told = sys.argv
    if told[:1] == [MEASURE]:
        print(json.dumps(measure(*told[1:])))
    elif torch.cuda.is_available():
        main([m for m in MODELS if m in told] or [*MODELS], [c for c in told if c not in MODELS] or [*OURS, *PEERS])
    else:
        print("torch sees no CUDA device: nothing is measured on one")
