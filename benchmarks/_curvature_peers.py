"""What other Hessian tools do for the same questions: each solver returns eigenvalues, or nodes and weights of a density.

``curvlinops`` 3.0.1 and ``hessian-eigenthings`` 1.0.0a5 where they are installed; PyHessian's product loop written out (its
package does not run on this torch): the kept double-backward graph, one product at a time, and Lanczos with full
reorthogonalisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Problem = tuple[nn.Module, Tensor, Tensor]


class Kept:
    """PyHessian's way: the graph of the gradient is kept, a product is one more backward pass."""

    def __init__(self, problem: Problem):
        model, x, y = problem
        self.params = [p for p in model.parameters() if p.requires_grad]
        value = nn.functional.cross_entropy(model(x), y)
        self.gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, self.params, create_graph=True)])
        self.n = self.gradient.numel()

    def __call__(self, v: Tensor) -> Tensor:
        out = torch.autograd.grad(self.gradient @ v, self.params, retain_graph=True)
        return torch.cat([g.reshape(-1) for g in out])


def pyhessian_density(problem: Problem, runs: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Stochastic Lanczos quadrature by PyHessian's loop: Rademacher probes, full reorthogonalisation."""
    h, dtype = Kept(problem), problem[1].dtype
    generator = torch.Generator().manual_seed(seed)
    nodes, weights = [], []
    for _ in range(runs):
        v = torch.randint(2, (h.n,), generator=generator).to(dtype) * 2 - 1
        basis, alphas, betas = [v / v.norm()], [], []
        for _ in range(steps):
            w = h(basis[-1])
            alphas.append(float(w @ basis[-1]))
            w = w - alphas[-1] * basis[-1]
            for q in basis:
                w = w - (w @ q) * q
            betas.append(float(w.norm()))
            basis.append(w / betas[-1])
        t = np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)
        theta, vectors = np.linalg.eigh(t)
        nodes.append(theta)
        weights.append(vectors[0] ** 2 / runs)
    return np.concatenate(nodes), np.concatenate(weights)


def curvlinops_operator(problem: Problem) -> Any:
    from curvlinops import HessianLinearOperator

    model, x, y = problem
    params = [p for p in model.parameters() if p.requires_grad]
    return HessianLinearOperator(model, nn.CrossEntropyLoss(), params, [(x, y)], check_deterministic=False)


def curvlinops_top(operator: Any, k: int, tol: float) -> np.ndarray:
    """scipy's eigsh on the operator: its documented route to eigenvalues."""
    from scipy.sparse.linalg import eigsh

    return np.sort(eigsh(operator.to_scipy(), k=k, which="LA", tol=tol, return_eigenvectors=False))[::-1]


def curvlinops_density(operator: Any, grid: np.ndarray, runs: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Its Lanczos spectrum on its own grid and with its own smoothing."""
    from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

    points, density = lanczos_approximate_spectrum(operator, steps, num_points=len(grid), num_repeats=runs)
    return points.double().numpy(), density.double().numpy()


def eigenthings_operator(problem: Problem) -> Any:
    import hessian_eigenthings as he

    model, x, y = problem
    return he.HessianOperator(model, [(x, y)], he.supervised_loss(nn.CrossEntropyLoss()))


def eigenthings_top(operator: Any, k: int, tol: float) -> np.ndarray:
    """Its Lanczos, the number of steps doubled until its own test of convergence passes."""
    import hessian_eigenthings as he

    steps = 2 * k
    while True:
        found = he.lanczos(operator, k=k, max_iter=steps, tol=tol, which="LA", seed=0)
        if bool(found.converged.all()) or steps > 200:
            return np.sort(found.eigenvalues.double().numpy())[::-1]
        steps += k


def eigenthings_density(operator: Any, runs: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    import hessian_eigenthings as he

    found = he.spectral_density(operator, num_runs=runs, lanczos_steps=steps, num_grid_points=100, seed=seed)
    nodes, weights = found.raw_eigenvalues.double().numpy().ravel(), found.raw_weights.double().numpy().ravel()
    return nodes, weights / weights.sum()


def installed() -> dict[str, Callable[[Problem], Any]]:
    """The peers that can be imported, and how their operators are made."""
    out: dict[str, Callable[[Problem], Any]] = {}
    for package, make in (("curvlinops", curvlinops_operator), ("hessian_eigenthings", eigenthings_operator)):
        try:
            __import__(package)
        except ImportError:
            continue
        out[package] = make
    return out
