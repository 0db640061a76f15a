"""What the curvature ledger costs, in gradients of the same cost (eager reverse mode), all in one run.

Rows: the readings alone (values, tangents, adjoints, local terms), and the whole ledger with its independent check. The
memory is the process's peak. ``python benchmarks/ledger.py [--large]``; large adds a transformer of 11 million parameters
and a streamed cost.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _results import save
from torch import nn

from jensen.ask.why.directions import unit
from jensen.ask.why.finite import finite
from jensen.ask.why.ledger import ledger
from jensen.cost import Cost
from jensen.linalg.jets import second_order
from jensen.trace import trace

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str) -> Any:
    """An example's module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def streamed() -> Cost:
    """An MLP of 330,000 parameters on 20 chunks of 500 rows."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 512), nn.Tanh(), nn.Linear(512, 512), nn.GELU(), nn.Linear(512, 10))
    return Cost(model, nn.CrossEntropyLoss(), [(torch.randn(500, 64), torch.randint(10, (500,))) for _ in range(20)])


def transformer() -> Cost:
    """A transformer of 11 million parameters on 8 sequences of 32 tokens."""
    torch.manual_seed(0)
    text = torch.randint(256, (8, 33))
    model = example("gpt").GPT(layers=6, width=384, heads=6)
    return Cost(model, nn.CrossEntropyLoss(), (text[:, :-1], text[:, 1:]))


def gradient(cost: Cost) -> None:
    theta = {n: t.requires_grad_() for n, t in cost.theta.items()}
    torch.autograd.grad(cost(theta), list(theta.values()))


def readings(cost: Cost, direction: dict[str, torch.Tensor]) -> None:
    theta = cost.theta
    for term in trace(cost).problem.terms:
        second_order(term.program, term.tensors, theta, direction)


def seconds(f: Callable[[], Any], repeats: int) -> float:
    """The median time of a call, after one to warm up."""
    f()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def row(name: str, cost: Cost, repeats: int) -> dict[str, Any]:
    """One cost's figures."""
    generator = torch.Generator().manual_seed(0)
    d = unit(cost, {n: torch.randn(s, generator=generator, dtype=torch.float64) for n, s in cost.blocks.items()})
    start = time.perf_counter()
    trace(cost)
    traced = time.perf_counter() - start
    base = seconds(lambda: gradient(cost), repeats)
    answer = ledger(cost, d)
    ends = [{n: t + s * d[n] for n, t in cost.theta.items()} for s in (1.0, -1.0)]
    chord = finite(cost, *ends)
    return {
        "cost": name,
        "parameters": sum(t.numel() for t in d.values()),
        "operations": len(trace(cost).problem.terms[0].program.nodes),
        "trace_seconds": traced,
        "gradient_seconds": base,
        "readings_in_gradients": seconds(lambda: readings(cost, d), repeats) / base,
        "ledger_in_gradients": seconds(lambda: ledger(cost, d), repeats) / base,
        "finite_ledger_in_gradients": seconds(lambda: finite(cost, *ends), max(1, repeats // 4)) / base,
        "defect": answer.defect,
        "finite_defect": chord.defect,
        "notes": list(answer.notes),
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    makers: dict[str, Callable[[], Cost]] = {
        "digits MLP": lambda: example("digits_mlp").cost,
        "digits ConvNet": lambda: example("digits_convnet").cost,
    }
    if options.large:
        makers |= {"MLP on 20 chunks": streamed, "transformer": transformer}
    rows = []
    for name, make in makers.items():
        rows.append(row(name, make(), options.repeats if name.startswith("digits") else 3))
        print(rows[-1])
    print(save("ledger", rows))


if __name__ == "__main__":
    main()
