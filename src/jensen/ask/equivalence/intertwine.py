"""Matrices, complex scalars and scales between two points, all at once, by one linear system.

Where b = A a on a site of degree 1 and b = A^-T a on one of degree -1, moving the inverses to the other side leaves
equations that are linear in all unknowns together: of the kind B a = b A for a block between two factors. They are solved by
least squares, conjugate gradients on the normal equations (CGLS), each factor preconditioned by what its own sites say. The
solution nearest to the identity is taken, so that what nothing tells stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jensen.ask.equivalence.conjugate import dot
from jensen.ask.equivalence.layout import Place, Placed
from jensen.ask.symmetry.group import Step

ITERATIONS = 800
WINDOW, SHRUNK = 100, 0.9  # in so many iterations the squared residual must become smaller by this
STILL = 1e-14  # relative to the first residual
DENSE = 500_000  # entries of the system up to which it is solved whole
FLAT = 1e-12  # relative: eigenvalues below are taken for this in the preconditioner

Theta = dict[str, Tensor]
KINDS = ("linear", "orthogonal", "complex", "scale")


@dataclass(frozen=True, eq=False)
class _Unknown:
    """A factor whose element is looked for, with what its own sites say of it."""

    placed: Placed
    vectors: tuple[Tensor, ...]  # two (n, n); none for scales
    values: Tensor  # (n, n), or (n,) for scales

    @property
    def kind(self) -> str:
        return self.placed.factor.kind

    def start(self) -> Tensor:
        n = self.placed.factor.size
        return torch.ones(n, dtype=torch.float64) if self.kind == "scale" else torch.eye(n, dtype=torch.float64)

    def drawn(self, seed: int) -> Tensor:
        """A random element not far from the identity."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(self.start().shape, generator=generator, dtype=torch.float64)
        noise = _as_complex(noise) if self.kind == "complex" else noise
        return self.start() + (0.3 if noise.dim() == 1 else 0.6 / len(noise) ** 0.5) * noise

    def applied(self, element: Tensor, rows: Tensor, up: bool) -> Tensor:
        """The element (transposed, for sites of degree -1) on rows (n, all)."""
        if self.kind == "scale":
            return element[:, None] * rows
        return (element if up else element.T) @ rows

    def basis(self) -> Tensor:
        """All directions: (count, *shape)."""
        shape = self.start().shape
        every = torch.eye(shape.numel(), dtype=torch.float64).reshape(-1, *shape)
        if self.kind != "complex":
            return every
        return torch.stack([2 * _as_complex(every[i]) for k in range(0, shape[0], 2) for i in _pair(k, shape[0])])

    def pulled(self, residual: Tensor, rows: Tensor, up: bool) -> Tensor:
        """The transposed map: residuals (n, all) -> an element."""
        if self.kind == "scale":
            return (residual * rows).sum(1)
        g = residual @ rows.T if up else rows @ residual.T
        return _as_complex(g) if self.kind == "complex" else g

    def eased(self, g: Tensor) -> Tensor:
        """The inverse of what its own sites say."""
        if self.kind == "scale":
            return g / self.values
        left, right = self.vectors
        out = left @ ((left.T @ g @ right) / self.values) @ right.T
        return _as_complex(out) if self.kind == "complex" else out


def _pair(k: int, n: int) -> tuple[int, int]:
    """Where real and imaginary part of a pair lie in a flat (n, n) matrix."""
    return k * n + k, (k + 1) * n + k


def _as_complex(g: Tensor) -> Tensor:
    """The nearest block-diagonal matrix of blocks [[a, -b], [b, a]]."""
    k = torch.arange(0, len(g), 2)
    re, im = (g[k, k] + g[k + 1, k + 1]) / 2, (g[k + 1, k] - g[k, k + 1]) / 2
    out = torch.zeros_like(g)
    out[k, k], out[k + 1, k + 1], out[k + 1, k], out[k, k + 1] = re, re, im, -im
    return out


def intertwined(
    factors: Sequence[Placed], a: Mapping[str, Tensor], b: Mapping[str, Tensor], seed: int | None = None
) -> list[Step]:
    """Steps that bring a to b as near as least squares can; none where the equations are not linear.

    Args:
        factors: All factors with their places; permutations, signs and shifts are taken as done.
        a, b: Points in coordinates of the group.
        seed: Of the element from which the nearest solution is taken; None for the identity.
    """
    moving = [f for f in factors if f.factor.kind in KINDS]
    if not moving or not _linear(moving, a):
        return []
    system = _system(moving, a, b)
    start = [u.start() if seed is None else u.drawn(seed) for u in system.unknowns]
    elements = _solved(system, start) if system.small else _cgls(system, start)
    steps = []
    for u, element in zip(system.unknowns, elements, strict=True):
        found = _element(u.kind, element)
        if found is None:
            return []
        steps.append(Step(u.placed.factor, found))
    return steps


@dataclass(frozen=True, eq=False)
class _System:
    """The linear equations: blocks of both points, flat, and the weight of each."""

    unknowns: tuple[_Unknown, ...]
    a: Theta
    b: Theta
    weight: Mapping[str, float]

    @property
    def small(self) -> bool:
        """Whether it is solved whole."""
        return sum(u.start().numel() for u in self.unknowns) * sum(t.numel() for t in self.b.values()) <= DENSE

    def forward(self, elements: Sequence[Tensor], constant: bool) -> Theta:
        """What is left of the equations: b with the inverses moved over, less the moved a."""
        left = {n: t.clone() if constant else torch.zeros_like(t) for n, t in self.b.items()}
        right = {n: t.clone() if constant else torch.zeros_like(t) for n, t in self.a.items()}
        for u, element in zip(self.unknowns, elements, strict=True):
            for p in u.placed.places:
                up = p.site.degree > 0
                side, source = (right, self.a) if up else (left, self.b)
                side[p.block][p.index.reshape(-1)] = u.applied(element, _rows(p, source), up).reshape(-1)
        return {n: self.weight[n] * (left[n] - right[n]) for n in self.b}

    def backward(self, residual: Theta) -> list[Tensor]:
        """The transposed map."""
        out = []
        for u in self.unknowns:
            total = torch.zeros_like(u.start())
            for p in u.placed.places:
                up = p.site.degree > 0
                r = self.weight[p.block] * _rows(p, residual)
                total = total + (-1 if up else 1) * u.pulled(r, _rows(p, self.a if up else self.b), up)
            out.append(total)
        return out


def _system(moving: Sequence[Placed], a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> _System:
    blocks = sorted({p.block for f in moving for p in f.places})
    flat_a, flat_b = ({n: x[n].reshape(-1).double() for n in blocks} for x in (a, b))
    weight = {n: 1.0 / max(float(flat_b[n].square().sum().sqrt()), 1e-300) for n in blocks}
    return _System(tuple(_unknown(f, weight, flat_a, flat_b) for f in moving), flat_a, flat_b, weight)


def _linear(moving: Sequence[Placed], a: Mapping[str, Tensor]) -> bool:
    """Whether every entry lies on at most one site of degree 1 and one of degree -1, and on no other."""
    seen = {n: torch.zeros(2, t.numel(), dtype=torch.int8) for n, t in a.items()}
    for f in moving:
        for p in f.places:
            if abs(p.site.degree) != 1:
                return False
            seen[p.block][int(p.site.degree > 0)][p.index.reshape(-1)] += 1
    return all(bool((s <= 1).all()) for s in seen.values())


def _rows(p: Place, x: Mapping[str, Tensor]) -> Tensor:
    return x[p.block].reshape(-1)[p.index].reshape(len(p.index), -1)


def _unknown(f: Placed, weight: Mapping[str, float], a: Theta, b: Theta) -> _Unknown:
    """With the preconditioner: A G + H A, G and H the Gram matrices of its sites in a and in b."""
    n = f.factor.size
    found = [(p.site.degree > 0, weight[p.block] * _rows(p, a if p.site.degree > 0 else b)) for p in f.places]
    vectors: tuple[Tensor, ...] = ()
    if f.factor.kind == "scale":
        values = sum((rows.square().sum(1) for _, rows in found), torch.zeros(n, dtype=torch.float64))
    else:
        zero = torch.zeros(n, n, dtype=torch.float64)
        g, h = (sum((rows @ rows.T for up, rows in found if up == side), zero) for side in (True, False))
        (mu, left), (nu, right) = torch.linalg.eigh(h), torch.linalg.eigh(g)
        vectors, values = (left, right), mu.clamp_min(0)[:, None] + nu.clamp_min(0)
    return _Unknown(f, vectors, values.clamp_min(max(float(values.max()), 1e-300) * FLAT))


def _solved(system: _System, start: list[Tensor]) -> list[Tensor]:
    """The solution nearest to a start, by a singular value decomposition of the whole system."""
    unknowns, columns = system.unknowns, []
    for k, u in enumerate(unknowns):
        zeros = [torch.zeros_like(v.start()) for v in unknowns]
        for basis in u.basis():
            columns.append(torch.cat([*system.forward([*zeros[:k], basis, *zeros[k + 1 :]], False).values()]))
    residual = torch.cat([*system.forward(start, True).values()])
    found = torch.linalg.lstsq(torch.stack(columns, 1), -residual[:, None], rcond=1e-12, driver="gelsd").solution[:, 0]
    out, begun = [], 0
    for u, x in zip(unknowns, start, strict=True):
        basis = u.basis()
        out.append(x + torch.einsum("k,k...->...", found[begun : begun + len(basis)], basis))
        begun += len(basis)
    return out


def _cgls(system: _System, start: list[Tensor]) -> list[Tensor]:
    """Preconditioned conjugate gradients on the normal equations."""
    x, unknowns = start, system.unknowns
    r = {n: -t for n, t in system.forward(x, True).items()}
    s = system.backward(r)
    z = [u.eased(g) for u, g in zip(unknowns, s, strict=True)]
    p, rho = z, dot(s, z)
    first, sizes = rho, [float("inf")]
    for k in range(ITERATIONS):
        if k % WINDOW == 0:  # what is left never grows; where it rests there is no solution
            sizes.append(sum(float(t @ t) for t in r.values()))
            if sizes[-1] > SHRUNK * sizes[-2]:
                break
        if not rho > STILL**2 * first:
            break
        q = system.forward(p, False)
        size = sum(float(t @ t) for t in q.values())
        if size == 0:
            break
        alpha = rho / size
        x = [i + alpha * j for i, j in zip(x, p, strict=True)]
        r = {n: t - alpha * q[n] for n, t in r.items()}
        s = system.backward(r)
        z = [u.eased(g) for u, g in zip(unknowns, s, strict=True)]
        new = dot(s, z)
        p = [i + new / rho * j for i, j in zip(z, p, strict=True)]
        rho = new
    return x


def _element(kind: str, x: Tensor) -> Tensor | None:
    """A solution as an element of its factor; None where it is none."""
    if not bool(torch.isfinite(x).all()):
        return None
    if kind == "scale":
        return x if bool((x > 0).all()) else None
    if kind == "orthogonal":
        u, _, vt = torch.linalg.svd(x)
        return u @ vt
    return x if torch.linalg.matrix_rank(x) == len(x) else None
