"""Linear dependence of the columns of data, read some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr

RANK = 1e-10  # singular values below this, relative to the largest after every column is scaled to at most 1, are 0
CLEAN = 1e-11  # coefficients this near to a whole number are meant to be it
SURE = 1e-10  # what is found must cancel so far in every row, relative to what cancels


@dataclass(frozen=True, eq=False)
class Span:
    """Directions in which the columns add up to 0.

    Attributes:
        inputs: The columns concerned (m,).
        directions: Their coefficients (m, k); None where every direction is one column alone.
        offsets: Those of a column of ones (k,); 0 where there is none.
    """

    inputs: np.ndarray
    directions: np.ndarray | None
    offsets: np.ndarray


def idle(pieces: Iterable[np.ndarray], width: int) -> np.ndarray:
    """Columns that are 0 in every row."""
    used = np.zeros(width, dtype=bool)
    for x in pieces:
        used |= (x != 0).any(0)
        if used.all():
            break
    return np.flatnonzero(~used)


def dependent(pieces: Callable[[], Iterable[np.ndarray]], width: int, ones: bool) -> dict[Any, Span]:
    """A basis of the null space of all rows, by kind: ``zero inputs``, ``constant inputs``, ``equal inputs``, ``dependent inputs``.

    Args:
        pieces: The rows (n, width), anew at every call; reading stops where nothing can depend any more.
        ones: Whether there is a column of ones too.
    """
    basis = _cancelled(pieces, _null_space(pieces, width, ones), ones)
    offsets = basis[width] if ones else np.zeros(basis.shape[1])
    kinds = np.array([_kind(v, o) for v, o in zip(basis[:width].T, offsets, strict=True)])
    out: dict[Any, Span] = {}
    for kind in ("zero inputs", "constant inputs", "equal inputs", "dependent inputs"):
        own = np.flatnonzero(kinds == kind)
        if not len(own):
            continue
        columns = basis[:width, own]
        inputs = np.flatnonzero(columns.any(1))
        plain = None if kind == "zero inputs" else columns[inputs]
        if plain is None:  # in the order of the columns, each alone
            inputs = np.sort(inputs)
        out[kind] = Span(inputs, plain, offsets[own])
    return out


def _kind(v: np.ndarray, offset: float) -> str:
    support = v[v != 0]
    if len(support) == 1:
        return "constant inputs" if offset else "zero inputs"
    return "equal inputs" if len(support) == 2 and not offset and support.sum() == 0 else "dependent inputs"


def _null_space(pieces: Callable[[], Iterable[np.ndarray]], width: int, ones: bool) -> np.ndarray:
    """(width [+ 1], k): one direction for each of k columns, which has coefficient 1 there and 0 in all other directions."""
    n = width + ones
    scale, basis, size = np.zeros(n), np.eye(n), 0.0
    for x in pieces():
        x = _whole(x, ones)
        top = np.abs(x).max(0, initial=0.0)
        scale = np.where(scale == 0, top, scale)  # of the first piece in which the column is not 0
        x = x / np.where(scale > 0, scale, 1.0)
        size = max(size, float(np.linalg.norm(x)))
        y = np.linalg.qr(x @ basis, mode="r")
        _, s, vt = np.linalg.svd(y)
        small = np.concatenate([s <= RANK * size, np.ones(len(vt) - len(s), dtype=bool)])
        basis = basis @ vt[small].T
        if not basis.shape[1]:
            return basis
    return _reduced(basis / np.where(scale > 0, scale, 1.0)[:, None], ones)


def _whole(x: np.ndarray, ones: bool) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], 1) if ones else x


def _reduced(basis: np.ndarray, ones: bool) -> np.ndarray:
    """The same space, by columns that can be free: not the ones, where another can."""
    k = basis.shape[1]
    orthonormal = np.linalg.qr(basis)[0]
    weights = np.ones(len(basis))
    if ones:
        weights[-1] = 1e-6
    order: Any = qr((orthonormal * weights[:, None]).T, mode="r", pivoting=True)[-1]
    free = order[:k]
    out = np.linalg.solve(orthonormal[np.sort(free)].T, orthonormal.T).T
    whole = np.rint(out)
    return np.where(np.abs(out - whole) <= CLEAN, whole, out)


def _cancelled(pieces: Callable[[], Iterable[np.ndarray]], basis: np.ndarray, ones: bool) -> np.ndarray:
    """The directions that do add up to 0 in every row."""
    if not basis.shape[1]:
        return basis
    left, size = np.zeros(basis.shape[1]), np.zeros(basis.shape[1])
    for x in pieces():
        x = _whole(x, ones)
        left = np.maximum(left, np.abs(x @ basis).max(0, initial=0.0))
        size = np.maximum(size, (np.abs(x) @ np.abs(basis)).max(0, initial=0.0))
    return basis[:, left <= SURE * size]
