"""Lanczos of several vectors in step is Lanczos of each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from jensen.errors import Misuse
from jensen.linalg import chains, krylov


def starts(n: int, k: int) -> list[krylov.Krylov]:
    g = torch.Generator().manual_seed(n)
    return [krylov.begin(torch.randn(n, 1, generator=g, dtype=torch.float64)) for _ in range(k)]


def matrix(n: int) -> Tensor:
    """A bulk around zero and some large eigenvalues, as of networks."""
    g = torch.Generator().manual_seed(1)
    q = torch.linalg.qr(torch.randn(n, n, generator=g, dtype=torch.float64))[0]
    values = torch.cat([1e-3 * torch.randn(n - 3, generator=g, dtype=torch.float64), torch.tensor([1.0, 5.0, -0.5])])
    return (q * values) @ q.T


@pytest.mark.parametrize("n", [60, 90])
def test_each_chain_is_the_one_alone(n):
    """Past the room that a store begins with, and past the convergence of the large eigenvalues."""
    h, alone = matrix(n), starts(n, 3)
    together = chains.joined(alone)
    for _ in range(40):
        alone = [krylov.grow(c, h) for c in alone]
        together = chains.absorb(together, together.pending @ h)
    for a, b in zip(alone, together.apart(), strict=True):
        assert np.abs(a.projected - b.projected)[:20, :20].max() < 1e-12  # what rounding makes of them later differs
        assert np.abs(krylov.ritz(a)[0][[0, -2, -1]] - krylov.ritz(b)[0][[0, -2, -1]]).max() < 1e-12
        basis = torch.cat([b.basis, b.pending])
        assert float((basis @ basis.T - torch.eye(41, dtype=torch.float64)).abs().max()) < 1e-13
        residual = b.basis @ h - torch.from_numpy(b.projected) @ b.basis - torch.from_numpy(b.coupling).T @ b.pending
        assert float(residual.abs().max()) < 1e-13
        assert b.noise < 1e-12


def test_a_step_after_a_kept_one_is_the_same():
    h, c = matrix(60), chains.joined(starts(60, 2))
    for _ in range(35):
        again = chains.joined(c.apart())
        c, d = (chains.absorb(x, (h @ x.pending.T).T) for x in (c, again))
        assert torch.equal(c.pending, d.pending) and (c.alphas == d.alphas).all() and (c.betas == d.betas).all()


def test_chains_that_end_are_told_and_left_as_they_were():
    n = 12
    h = torch.diag(torch.tensor([1.0, 2.0, 3.0]).repeat(4)).double()  # three eigenvalues: spaces of dimension three
    c = chains.joined(starts(n, 2))
    for _ in range(2):
        c = chains.absorb(c, c.pending @ h)
    before = c.pending.clone()
    assert chains.absorb(c, c.pending @ h) is None
    assert torch.equal(c.pending, before)
    ended = [krylov.grow(k, h) for k in c.apart()]
    assert [len(k.pending) for k in ended] == [0, 0]
    assert [k.size for k in ended] == [3, 3]


def test_what_is_not_alike_stays_apart():
    a, b, c = starts(20, 3)
    h = matrix(20)
    assert chains.joined([a]) is None
    assert chains.joined([krylov.grow(a, h), b]) is None
    assert chains.joined([krylov.inject(krylov.grow(a, h), torch.ones(20, 1).double()), krylov.grow(b, h)]) is None
    assert chains.joined([a, b, c]).size == 0


def test_products_that_are_not_finite():
    c = chains.joined(starts(10, 2))
    with pytest.raises(Misuse, match="not finite"):
        chains.absorb(c, torch.full((2, 10), float("nan"), dtype=torch.float64))
