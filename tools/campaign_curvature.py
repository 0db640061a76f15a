"""The long check of Hessian products: every layer, tensor operation and cost of the tests' zoos, against torch alone.

For each: the kept map against double backward of the cost (finite differences of its gradient where torch has none or is
wrong), three columns at once against one, and Gauss-Newton plus residual against the whole. Prints what is not exact, what
is not kept, and a count. Run from the repository root: ``python tools/campaign_curvature.py [part of a name]``.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "atoms"))

import layer_cases
import tensor_cases

import cases
import jensen
from curvature_models import NETWORKS, differences, double_backward
from curvature_models import cost as network
from jensen import Cost, Misuse

Make = Callable[[], Cost]


def costs() -> Iterator[tuple[str, Make]]:
    """Names and how to build them."""
    for name, build, shape in layer_cases.LAYERS:
        yield f"layer {name}", lambda b=build, s=shape: _layer(b, s)
    for name, fn, shapes, expected in tensor_cases.CASES:
        if expected != "unknown":
            yield f"tensor {name}", lambda f=fn, s=shapes: _tensors(f, s)
    for case in cases.CASES:
        yield f"case {case.name}", case.make
    for name in NETWORKS:
        yield f"network {name}", lambda n=name: network(n)


def _layer(build: Callable[[], torch.nn.Module], shape: tuple[int, ...]) -> Cost:
    torch.manual_seed(0)
    return Cost(build(), lambda out, y: (out * 1.3 + 0.2).sin().mean(), (torch.randn(shape), torch.zeros(shape[0])))


def _tensors(fn: Callable[..., torch.Tensor], shapes: dict[str, tuple[int, ...]]) -> Cost:
    g = torch.Generator().manual_seed(0)
    blocks = {n: torch.randn(s, generator=g, dtype=torch.float64) for n, s in shapes.items()}
    return Cost.of(lambda **t: (fn(**t) * 1.1).sin().sum(), **blocks)


def off(a: torch.Tensor, b: torch.Tensor) -> float:
    """The error relative to b."""
    error = float((a - b).norm())
    return error / float(b.norm()) if error else 0.0


def problems(name: str, cost: Cost) -> Iterator[str]:
    """What is not as it should be."""
    h = jensen.hessian(cost)
    v = torch.randn(h.n, 3, dtype=torch.float64)
    got = h @ v[:, 0]
    if h.report.mode != "kept":
        yield f"{h.report.mode}: {h.report.notes}"
    try:
        error = off(got, double_backward(cost, v[:, 0]))
    except (RuntimeError, NotImplementedError):
        error = 1.0
    if error > 1e-10 and off(got, differences(cost, v[:, 0])) > 1e-6:
        yield f"off by {error:.1e}"
    wide = jensen.hessian(cost, width=3)
    if off((wide @ v)[:, 0], got) > 1e-10 or (wide.report.notes and h.report.mode == "kept"):
        yield f"three columns: {wide.report.notes}"
    if name.startswith(("layer", "network")):
        split = h.gauss_newton @ v[:, 0] + h.residual @ v[:, 0]
        if off(split, got) > 1e-9:
            yield f"Gauss-Newton and residual are off by {off(split, got):.1e}"


def main() -> int:
    warnings.simplefilter("ignore")
    part, count, bad = (sys.argv[1] if len(sys.argv) > 1 else ""), 0, 0
    for name, make in costs():
        if part not in name:
            continue
        try:
            for text in problems(name, make()):
                bad += 1
                print(f"{name}: {text}", flush=True)
        except Misuse as e:
            print(f"{name}: refused: {e}", flush=True)
        count += 1
    print(f"{count} costs, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
