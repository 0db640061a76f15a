"""The closed form against 50 digits, also where neurons share a direction and where acos has no derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from mpmath import mp, mpf

import jensen
from jensen.gallery.student_teacher import between, correlation, polar, student_teacher
from jensen.linalg.population import Population
from jensen.trace import trace

mp.dps = 50


def angle(u: Sequence[Any], v: Sequence[Any]) -> tuple[Any, Any, Any]:
    dot = sum(a * b for a, b in zip(u, v, strict=True))
    cross = mp.sqrt(sum((u[a] * v[b] - u[b] * v[a]) ** 2 for a in range(len(u)) for b in range(a)))
    return mp.sqrt(sum(a * a for a in u)), mp.sqrt(sum(b * b for b in v)), mp.atan2(cross, dot)


def f(u: Sequence[Any], v: Sequence[Any]) -> Any:
    m, n, t = angle(u, v)
    return m * n * (mp.sin(t) + (mp.pi - t) * mp.cos(t)) / (2 * mp.pi)


def slope(u: Sequence[Any], v: Sequence[Any]) -> list[Any]:
    m, n, t = angle(u, v)
    return [(n * mp.sin(t) * a / m + (mp.pi - t) * b) / (2 * mp.pi) for a, b in zip(u, v, strict=True)]


def ours(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    (m, a), (n, b) = polar(u[None]), polar(v[None])
    return correlation(m * n, *between(a, b))[0, 0]


@pytest.mark.parametrize("away", [0.0, 1e-16, 1e-9, 1e-4, 0.1, 0.2, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_one_pair_and_its_derivatives(away, sign):
    numbers = torch.Generator().manual_seed(3)
    u = torch.randn(4, generator=numbers, dtype=torch.float64)
    v = sign * 1.3 * u + away * torch.randn(4, generator=numbers, dtype=torch.float64)
    x, y = [mpf(t) for t in u.tolist()], [mpf(t) for t in v.tolist()]
    leaf = u.clone().requires_grad_()
    value = ours(leaf, v)
    (g,) = torch.autograd.grad(value, leaf, create_graph=True)
    assert abs(float(f(x, y) - mpf(float(value.detach())))) < 2e-15
    assert max(abs(float(a - mpf(float(b)))) for a, b in zip(slope(x, y), g.detach(), strict=True)) < 2e-15
    h = mpf(10) ** -22
    for i in range(4):
        up, down = list(x), list(x)
        up[i], down[i] = x[i] + h, x[i] - h
        want = [(p - q) / (2 * h) for p, q in zip(slope(up, y), slope(down, y), strict=True)]
        (got,) = torch.autograd.grad(g[i], leaf, retain_graph=True)
        assert max(abs(float(a - mpf(float(b)))) for a, b in zip(want, got, strict=True)) < 1e-14


def points() -> list[torch.Tensor]:
    numbers = torch.Generator().manual_seed(5)
    wild = torch.randn(4, 4, generator=numbers, dtype=torch.float64)
    met = torch.eye(4, dtype=torch.float64) + 1e-9 * torch.randn(4, 4, generator=numbers, dtype=torch.float64)
    aligned = wild.clone()
    aligned[1], aligned[2] = 2 * wild[0], -wild[0]  # one direction, and the opposite one
    aligned[3] = -0.7 * torch.eye(4, dtype=torch.float64)[2]
    return [wild, met, aligned, torch.eye(4, dtype=torch.float64)]


@pytest.mark.parametrize("case", range(4))
def test_the_whole_cost(case):
    w = points()[case]
    many = Population(trace(student_teacher(4)).problem)
    value, g = many.gradients(w.reshape(1, -1))
    rows = [[mpf(x) for x in r] for r in w.tolist()]
    unit = [[mpf(int(i == j)) for j in range(4)] for i in range(4)]
    want = (
        sum(f(a, b) for a in rows for b in rows) / 2
        - sum(f(a, b) for a in rows for b in unit)
        + sum(f(a, b) for a in unit for b in unit) / 2
    )
    assert abs(float(want - mpf(float(value)))) < 5e-15
    for i in range(4):
        total = [sum(slope(rows[i], b)[j] for b in rows) - sum(slope(rows[i], b)[j] for b in unit) for j in range(4)]
        assert max(abs(float(t - mpf(float(s)))) for t, s in zip(total, g.reshape(4, 4)[i], strict=True)) < 5e-15


def test_neurons_without_length_and_right_angles():
    many = Population(trace(student_teacher(2, 2, 3)).problem)
    w = torch.zeros(1, 6, dtype=torch.float64)
    w[0, 2] = 1.0  # at a right angle to both teachers; the other student is zero
    value, g = many.gradients(w)
    assert float(value) == pytest.approx(0.25 + 0.5 + 1 / (2 * torch.pi) - 2 / (2 * torch.pi), rel=1e-14)
    assert g[0, :3].tolist() == pytest.approx([-0.25, -0.25, 0.5 - 2 / (2 * torch.pi)], rel=1e-14)
    assert torch.isfinite(g).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(jensen.Misuse, match="do not fit dimension 2"):
        student_teacher(3, 3, 2)
