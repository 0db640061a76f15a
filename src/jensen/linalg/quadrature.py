"""Stochastic Lanczos quadrature (Golub and Meurant 2010; Ubaru, Chen and Saad 2017), every basis fully reorthogonalised.

m steps of Lanczos from v give the Gauss rule of the measure that puts the weight (v'x)^2 on each eigenvalue. With v uniform
on the sphere the mean of that measure is the spectral distribution of the operator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from jensen.linalg import krylov
from jensen.linalg.chains import absorb, joined
from jensen.linalg.krylov import Krylov
from jensen.linalg.operators import Deflated, draw

PROBE = 3  # stream of random numbers
EVERY = 8  # how often enough is asked
LEAST = 16


@dataclass(frozen=True)
class Rule:
    """The recurrence of one probe: m diagonal entries, and m norms of which the last leads out of the space."""

    alphas: np.ndarray
    betas: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.alphas)

    def cut(self, steps: int) -> Rule:
        """The rule after fewer steps."""
        return Rule(self.alphas[:steps], self.betas[:steps])

    @cached_property
    def gauss(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes, increasing, and weights, which sum to one; exact for polynomials of degree 2 m - 1."""
        return _rule(self.alphas, self.betas[:-1])

    def below(self, t: float) -> tuple[float, float]:
        """A lower and an upper bound of the share of the measure below (and at) t.

        By the inequalities of Chebyshev, Markov and Stieltjes: the sums of the weights of the Gauss-Radau rule with a node
        at t (Golub 1973), without that node and with it. No other bounds from the same moments are tighter.
        """
        if not self.betas[-1] > 0:  # the space is invariant, the Gauss rule is the measure
            nodes, weights = self.gauss
            return float(weights[nodes < t].sum()), float(weights[nodes <= t].sum())
        d = 1.0
        for i, alpha in enumerate(self.alphas):
            d = alpha - t - (self.betas[i - 1] ** 2 / d if i else 0.0)
            d = d if d != 0.0 else np.finfo(float).tiny
        last = t + self.betas[-1] ** 2 / d
        if not np.isfinite(last):
            return self.cut(self.steps - 1).below(t) if self.steps > 1 else (0.0, 1.0)
        nodes, weights = _rule(np.append(self.alphas, last), self.betas)
        at = int(np.argmin(np.abs(nodes - t)))
        lower = float(weights[:at].sum())
        return lower, lower + float(weights[at])


def _rule(diagonal: np.ndarray, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg.lapack import dstevd  # pyright: ignore[reportAttributeAccessIssue]

    if len(diagonal) == 1:
        return diagonal, np.ones(1)
    nodes, vectors, failed = dstevd(diagonal, off)
    if failed:
        raise ArithmeticError("the eigenvalues of a quadrature rule were not found")
    return nodes, vectors[0] ** 2


@dataclass(frozen=True)
class Sampling:
    """How to sample: so many probes, at most so many steps each, ``width`` of them at once."""

    probes: int
    steps: int
    width: int = 1
    seed: int = 0
    enough: Callable[[list[Rule]], bool] | None = None


@dataclass(frozen=True)
class Progress:
    """Where the sampling stands: finished rules, the probes under way, and the steps that were found to do."""

    rules: tuple[Rule, ...] = ()
    chains: tuple[Krylov, ...] = ()
    steps: int | None = None


class _Batch:
    """Probes under way, in step as long as none of them ends."""

    def __init__(self, chains: list[Krylov]):
        self.chains, self._together = chains, joined(chains)

    def advance(self, operator: Any) -> None:
        """One step of every probe that can still go on, in one product."""
        if self._together is not None:
            image = operator @ self._together.pending.T
            self._together = absorb(self._together, image.T)
            if self._together is not None:
                self.chains = self._together.apart()
                return
        else:
            image = operator @ torch.cat([krylov.entering(c, 1) for c in self.chains if len(c.pending)], 1)
        for column, i in enumerate([i for i, c in enumerate(self.chains) if len(c.pending)]):
            self.chains[i] = krylov.absorb(self.chains[i], image[:, column : column + 1])

    @property
    def steps(self) -> int:
        return max((c.size for c in self.chains), default=0)

    @property
    def going(self) -> bool:
        return any(len(c.pending) for c in self.chains)


def sample(
    operator: Deflated,
    plan: Sampling,
    state: Progress | None = None,
    report: Callable[[Progress, dict[str, Any]], None] | None = None,
) -> tuple[Rule, ...]:
    """The rules of all probes, uniform on the sphere orthogonal to the deflated vectors.

    Args:
        operator: A deflated map.
        plan: How many probes and steps. ``enough`` looks at the rules of the first batch from time to time; when it says
            so, that many steps are used for all.
        state: Where an earlier sampling stood.
        report: Called after every step with the state.
    """
    state = state or Progress()
    report = report or (lambda state, figures: None)
    while len(state.rules) < plan.probes:
        first = len(state.rules)
        width = min(plan.width, plan.probes - first)
        starts = [draw(operator, 1, plan.seed, PROBE, first + j) for j in range(width)]
        batch = _Batch(list(state.chains) or [krylov.begin(operator.project(s)) for s in starts])
        limit = state.steps or plan.steps
        while batch.steps < limit and batch.going:
            batch.advance(operator)
            state = replace(state, chains=tuple(batch.chains))
            report(state, {"stage": "density", "probe": first + width, "of": plan.probes, "step": batch.steps})
            if state.steps is None and _enough(plan, batch):
                break
        rules = state.rules + tuple(rule_of(c) for c in batch.chains)
        state = Progress(rules, (), state.steps or batch.steps)
    return state.rules


def _enough(plan: Sampling, batch: _Batch) -> bool:
    if plan.enough is None or batch.steps < LEAST or batch.steps % EVERY:
        return False
    return plan.enough([rule_of(c) for c in batch.chains])


def rule_of(chain: Krylov) -> Rule:
    """The recurrence of a decomposition that began with one vector."""
    last = np.linalg.norm(chain.coupling[:, -1:])
    return Rule(np.diag(chain.projected).copy(), np.append(np.diag(chain.projected, -1), last))
