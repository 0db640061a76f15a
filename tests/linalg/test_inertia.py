"""Exact counts by LDL', and honest ranges where rounding decides."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.linalg.inertia import below, negative, signs
from spectra import SPECTRA, matrix


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("x", [-1.5, -1e-6, 1e-10, 0.5, 4.5])
def test_counts(name: str, x: float) -> None:
    values = SPECTRA[name]
    found = below(matrix(values).numpy(), x, 0.0)
    far = np.abs(values - x) > found.reach
    assert found.least <= (values < x).sum() <= found.most
    if far.all():
        assert found.decided


def test_eigenvalues_at_the_shift_are_undecided() -> None:
    found = below(matrix(SPECTRA["plus and minus one"]).numpy(), 1.0, 0.0)
    assert (found.least, found.most) == (60, 120)


def test_the_error_of_the_matrix_widens_the_range() -> None:
    a = np.diag([-1e-6, 1e-6, 1.0])
    assert below(a, 0.0, 0.0).decided
    found = below(a, 0.0, 1e-5)
    assert (found.least, found.most) == (0, 2)


def test_blocks_of_two() -> None:
    assert signs(np.array([[0.0, 1.0], [1.0, 0.0]])) == 1
    assert signs(np.array([[-2.0, 0.0, 0.0], [0.0, 0.0, 3.0], [0.0, 3.0, 0.0]])) == 2
    assert negative(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.0) == (1, 0.0)
