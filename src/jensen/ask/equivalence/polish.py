"""Continuous factors solved by least squares, each in turn, once permutations and signs are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from jensen.ask.symmetry.group import Factor, Step

SWEEPS = 6
SMALL = 1e-12  # relative: singular values below are zero


def distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """The largest difference of an entry, relative to the largest entry of its block."""
    worst = 0.0
    for n, x in b.items():
        if x.numel():
            size = max(float(x.abs().max()), float(a[n].abs().max()))
            worst = max(worst, float((a[n] - x).abs().max()) / size if size else 0.0)
    return worst


def polished(factors: Sequence[Factor], a: Mapping[str, Tensor], b: Mapping[str, Tensor], enough: float) -> list[Step]:
    """Steps of continuous factors that bring a nearer to b, in the coordinates of the group; at most some sweeps."""
    steps: list[Step] = []
    x = dict(a)
    best, kept = distance(x, b), 0
    for _ in range(SWEEPS):
        if best <= enough:
            break
        for f in factors:
            solve = SOLVE.get(f.kind)
            element = None if solve is None else solve(f, x, b)
            if element is not None and bool(torch.isfinite(element).all()):
                x = f.act(element, x)
                steps.append(Step(f, element))
        now = distance(x, b)
        if now < best:
            best, kept = now, len(steps)
        elif now > 0.5 * best:
            break
    return steps[:kept]


def _pairs(f: Factor, x: Mapping[str, Tensor], b: Mapping[str, Tensor], up: bool) -> tuple[Tensor, Tensor]:
    """The rows (n, all entries) of the sites of positive (or negative) degree, in both points."""
    rows = [(s.rows(x[s.block]), s.rows(b[s.block])) for s in f.sites if (s.degree > 0) == up]
    empty = torch.zeros(f.size, 0, dtype=torch.float64)
    left = torch.cat([empty, *(r.double().reshape(f.size, -1) for r, _ in rows)], 1)
    return left, torch.cat([empty, *(r.double().reshape(f.size, -1) for _, r in rows)], 1)


def _scale(f: Factor, x: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """log s from the ratio of the norms of each site's rows, weighted by their sizes."""
    top = torch.zeros(f.size, dtype=torch.float64)
    weight = torch.zeros(f.size, dtype=torch.float64)
    for site in f.sites:
        left, right = (site.rows(y[site.block]).double().square().sum((1, 2)) for y in (x, b))
        both = (left > 0) & (right > 0)
        share = torch.where(both, torch.minimum(left, right) / max(float(left.max()), 1e-300), 0.0)
        top += share * site.degree * torch.where(both, (right / left).log() / 2, 0.0)
        weight += share * site.degree**2
    return torch.where(weight > 0, top / weight.clamp_min(1e-300), 0.0).exp()


def _linear(f: Factor, x: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor | None:
    """A with A X = Y for the sites of degree 1 and A^T U' = U for those of degree -1, as near to both as can be.

    A = Y X+ + Z (1 - X X+), Z = (U'^T)+ (U^T - U'^T Y X+) + (1 - U'U'+): what neither tells is as in the identity.
    """
    (left, right), (down, below) = _pairs(f, x, b, True), _pairs(f, x, b, False)
    eye = torch.eye(f.size, dtype=torch.float64)
    pinv = torch.linalg.pinv(left, rtol=SMALL) if left.shape[1] else left.T
    a = right @ pinv
    outside = eye - left @ pinv
    if below.shape[1]:
        inverse = torch.linalg.pinv(below.T, rtol=SMALL)
        z = inverse @ (down.T - below.T @ a) + (eye - inverse @ below.T)
    else:
        z = eye
    a = a + z @ outside
    return a if torch.linalg.matrix_rank(a) == f.size else None


def _orthogonal(f: Factor, x: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """Procrustes (Schönemann 1966)."""
    pairs = [_pairs(f, x, b, up) for up in (True, False)]
    u, _, vt = torch.linalg.svd(sum((right @ left.T for left, right in pairs), torch.zeros(f.size, f.size).double()))
    return u @ vt


def _complex(f: Factor, x: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """For each pair the complex number, as the quotient <V', V> / |V|^2 of the sites of degree 1."""
    left, right = _pairs(f, x, b, True)
    inverse = not left.shape[1]
    if inverse:  # the inverse transposed has the same phase and the inverse modulus
        left, right = _pairs(f, x, b, False)
    v, w = left.reshape(-1, 2, left.shape[1]), right.reshape(-1, 2, left.shape[1])
    size = v.square().sum((1, 2))
    re = (v * w).sum((1, 2)) / size
    im = (v[:, 0] * w[:, 1] - v[:, 1] * w[:, 0]).sum(1) / size
    if inverse:
        re, im = re / (re.square() + im.square()), im / (re.square() + im.square())
    good = torch.isfinite(re) & torch.isfinite(im) & (re.square() + im.square() > 0)
    re, im = torch.where(good, re, 1.0), torch.where(good, im, 0.0)
    pairs = (torch.stack([torch.stack([r, -i]), torch.stack([i, r])]) for r, i in zip(re, im, strict=True))
    return torch.block_diag(*pairs)


def _phase(f: Factor, x: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """The complex numbers, of modulus 1."""
    z = _complex(f, x, b)
    return z / z.square().sum(1, keepdim=True).sqrt()


SOLVE: dict[str, Callable[[Factor, Mapping[str, Tensor], Mapping[str, Tensor]], Tensor | None]] = {
    "scale": _scale,
    "linear": _linear,
    "orthogonal": _orthogonal,
    "complex": _complex,
    "phase": _phase,
}
