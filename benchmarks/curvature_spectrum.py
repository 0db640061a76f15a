"""Top eigenvalues and spectral densities beside the peers, in gradients of the same cost, one thread, one run.

    python benchmarks/curvature_spectrum.py [--quick]

Every time is CPU time of one thread (numpy's second one would spin beside torch's work, and be counted); the gradient is
timed before and after each solve. Operators are made outside the clock for all; what making them costs is a row of its own. Errors of eigenvalues are relative to each eigenvalue, against a solve in float64
to 1e-8. Errors of densities are L1 distances to the exact density of a small network, all smoothed by the same Gaussian;
the same probes and steps are then timed on the larger networks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import _curvature_peers as peers
import numpy as np
import torch
from _curvature_peers import Problem
from _results import save
from torch import Tensor, nn

import jensen

PEERS = ("curvlinops-for-pytorch", "hessian-eigenthings")
RUNS, STEPS = 10, 80  # the peers' yardstick


def digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return torch.tensor(found.data) / 16, torch.tensor(found.target)


def train(model: nn.Module, x: Tensor, y: Tensor, steps: int, rate: float, dtype: torch.dtype) -> Problem:
    model = model.to(dtype)
    x = x.to(dtype)
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    return model, x, y


def mlp(hidden: int, dtype: torch.dtype, steps: int = 60) -> Problem:
    torch.manual_seed(0)
    layers = [nn.Linear(64, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 10)]
    return train(nn.Sequential(*layers), *digits(), steps, 1e-2 if hidden < 100 else 2e-3, dtype)


def convnet(dtype: torch.dtype) -> Problem:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(512, 3, 16, 16, generator=g), torch.randint(0, 10, (512,), generator=g)
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()]
    return train(nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 10)), x, y, 200, 3e-3, dtype)


def clock(f: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    out = f()
    return out, time.process_time() - start


def gradient_seconds(problem: Problem, repeats: int = 15) -> float:
    model, x, y = problem
    params = list(model.parameters())

    def once() -> None:
        torch.autograd.grad(nn.functional.cross_entropy(model(x), y), params)

    once()
    return statistics.median(clock(once)[1] for _ in range(repeats))


def in_gradients(problem: Problem, f: Callable[[], Any], repeats: int = 3) -> tuple[Any, float]:
    """The result, and the median time in gradients timed around each run."""
    out, ratios = None, []
    for _ in range(repeats):
        before = gradient_seconds(problem)
        out, took = clock(f)
        ratios.append(took / ((before + gradient_seconds(problem)) / 2))
    return out, statistics.median(ratios)


def cost_of(problem: Problem) -> jensen.Cost:
    model, x, y = problem
    return jensen.Cost(model, nn.CrossEntropyLoss(), (x, y), dtype=x.dtype)


def row(rows: list[dict[str, Any]], **values: Any) -> None:
    rows.append(values)
    print("  ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items()), flush=True)


def top(rows: list[dict[str, Any]], name: str, problem: Problem, repeats: int, k: int = 5) -> None:
    """The k largest eigenvalues at tolerance 1e-3, and jensen again at the best peer's error."""
    model, x, y = problem
    exact = jensen.spectrum(
        cost_of((model.double(), x.double(), y)), k=k, sides="highest", tolerance=1e-8, density=False, trace=False
    )
    truth = np.array([e.value for e in exact.highest])
    model.to(x.dtype)

    def error(values: np.ndarray) -> float:
        return float(np.abs(values / truth - 1).max())

    solvers: dict[str, Callable[[Any], np.ndarray]] = {
        "curvlinops": lambda op: peers.curvlinops_top(op, k, 1e-3),
        "hessian_eigenthings": lambda op: peers.eigenthings_top(op, k, 1e-3),
    }
    errors = []
    for peer, make in peers.installed().items():
        operator, made = in_gradients(problem, lambda make=make: make(problem), 1)
        values, took = in_gradients(problem, lambda s=solvers[peer], o=operator: s(o), repeats)
        errors.append(error(values))
        row(rows, task="top 5", network=name, tool=peer, gradients=took, error=errors[-1], making=made)
    cost = cost_of(problem)
    operator, made = in_gradients(problem, lambda: jensen.hessian(cost), 1)
    _, first = in_gradients(problem, lambda: operator @ torch.randn(operator.n, dtype=operator.dtype), 1)
    for tolerance in (1e-3, 1e-4, 1e-5):
        s, took = in_gradients(
            problem,
            lambda t=tolerance: jensen.spectrum(
                operator, k=k, sides="highest", tolerance=t, density=False, trace=False
            ),
            repeats,
        )
        wrong = error(np.array([e.value for e in s.highest]))
        row(rows, task="top 5", network=name, tool=f"jensen, tolerance {tolerance:g}", gradients=took, error=wrong,
            products=s.products, failure=s.failure, making=made + first)  # fmt: skip


def smooth(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((grid[:, None] - nodes) / sigma) ** 2) @ weights / (sigma * np.sqrt(2 * np.pi))


def jensen_density(operator: Any, seed: int, sigma: float | None, grid: Any, probes: int, steps: int | None) -> Any:
    return jensen.spectrum(
        operator, k=20, sides="highest", tolerance=1e-4, probes=probes, steps=steps, bandwidth=sigma, grid=grid, seed=seed,
        method="iterative", failure=0.05,
    )  # fmt: skip


def density(rows: list[dict[str, Any]], seeds: int) -> None:
    """Errors of densities on a network whose Hessian can be formed."""
    problem = mlp(16, torch.float64, 300)
    operator = jensen.hessian(cost_of(problem))
    values = torch.linalg.eigvalsh(operator.dense()).numpy()
    sigma = -float(values[0]) / 3
    bulk = np.linspace(values[0] - 5 * sigma, 60 * sigma, 1500)
    grid = np.concatenate([bulk, np.arange(bulk[-1] + sigma / 4, values[-1] + 5 * sigma, sigma / 4)])
    truth = smooth(values, np.full(len(values), 1 / len(values)), grid, sigma)

    def report(tool: str, f: Callable[[int], Any], read: Callable[[Any], np.ndarray]) -> None:
        errors, ratios, products = [], [], []
        for seed in range(seeds):
            out, took = in_gradients(problem, lambda s=seed: f(s), 1)
            errors.append(float(np.trapezoid(np.abs(read(out) - truth), grid)))
            ratios.append(took)
            products.append(getattr(out, "products", RUNS * STEPS))
        row(rows, task="density", network="MLP of 1,482 parameters", tool=tool, gradients=statistics.median(ratios),
            error=float(np.mean(errors)), products=statistics.median(products), sigma=sigma)  # fmt: skip

    ours = operator
    report(
        "PyHessian's loop, 10 x 80",
        lambda s: peers.pyhessian_density(problem, RUNS, STEPS, s),
        lambda o: smooth(*o, grid, sigma),
    )
    if "hessian_eigenthings" in peers.installed():
        he = peers.eigenthings_operator(problem)
        report(
            "hessian_eigenthings, 10 x 80",
            lambda s: peers.eigenthings_density(he, RUNS, STEPS, s),
            lambda o: smooth(*o, grid, sigma),
        )
    for probes in (5, 8, 10):
        report(
            f"jensen, {probes} probes",
            lambda s, p=probes: jensen_density(ours, s, sigma, grid, p, None),
            lambda o: o.density.density,
        )


def density_time(rows: list[dict[str, Any]], name: str, problem: Problem, repeats: int) -> None:
    """The time of the same work on a larger network."""
    made = {peer: make(problem) for peer, make in peers.installed().items()}
    work: dict[str, Callable[[], Any]] = {
        "PyHessian's loop, 10 x 80": lambda: peers.pyhessian_density(problem, RUNS, STEPS, 0)
    }
    if "hessian_eigenthings" in made:
        work["hessian_eigenthings, 10 x 80"] = lambda: peers.eigenthings_density(
            made["hessian_eigenthings"], RUNS, STEPS, 0
        )
    if "curvlinops" in made:
        work["curvlinops, 10 x 80"] = lambda: peers.curvlinops_density(made["curvlinops"], np.zeros(1000), RUNS, STEPS)
    operator = jensen.hessian(cost_of(problem))
    operator @ torch.randn(operator.n, 4, dtype=operator.dtype)
    for probes in (5, 8, 10):
        work[f"jensen, {probes} probes"] = lambda p=probes: jensen_density(operator, 0, None, None, p, None)
    for tool, f in work.items():
        out, took = in_gradients(problem, f, repeats)
        steps = out.density.steps if hasattr(out, "density") else STEPS
        row(
            rows,
            task="density",
            network=name,
            tool=tool,
            gradients=took,
            products=getattr(out, "products", RUNS * STEPS),
            steps=steps,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the small network only")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    if quick:
        top(rows, "MLP of 1,482 parameters", mlp(16, torch.float32, 300), 1)
        density(rows, 1)
        return
    networks = {
        "MLP of 85,002 parameters": mlp(256, torch.float32),
        "ConvNet of 11,642 parameters": convnet(torch.float32),
    }
    for name, problem in networks.items():
        top(rows, name, problem, 3)
    density(rows, 5)
    for name, problem in networks.items():
        density_time(rows, name, problem, 1)
    print(save("curvature_spectrum", rows, *PEERS))


if __name__ == "__main__":
    main()
