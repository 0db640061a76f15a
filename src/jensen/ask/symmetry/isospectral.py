"""Gains between two streams that are rotated about their means: n less one of their n numbers are felt.

A layer norm gives n = P n with P = 1 - 11'/n, a gain makes g n + b of it, and where that is read by linear layers and, in a sum,
by another norm, the second norm feels P diag(g) P alone: rotating what both norms read by Q leaves Q P diag(g) P Q'. So g may
become g' where P diag(g') P has the same eigenvalues. These are the zeros of p', p(x) = prod (x - g_i) (they solve
sum 1 / (x - g_i) = 0), and so g' are the zeros of p + t: one number t, as long as they stay real. The eigenvectors 1 / (g_i - x_k)
give Q. The group is the real line: t runs through an open interval, read as the logarithm of the quotient of its two parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.flow import Flow
from jensen.ask.symmetry.group import Carry, Factor, Site, Theta
from jensen.kernel.program import Ref

WIDEST = 64  # units up to which it is looked for: far apart zeros make p and its values too different in size
NORMS = 3
HALVINGS = 100
TIE = 1e-6  # relative to the largest gain


def deformations(flow: Flow, turned: Factor) -> list[Factor]:
    """Candidates, to be tried where the rotations of a stream fail: one for each gain that may stand between two parts of it."""
    gains = {s.gain.block: s.gain for s in turned.sites if s.gain is not None}
    if not turned.centred or not 3 <= turned.size <= WIDEST or not 2 <= len(gains) <= NORMS:
        return []
    found = [_through(flow, turned, g) for g in gains.values()]
    return [f for f in found if f is not None]


def _through(flow: Flow, turned: Factor, gain: Site) -> Factor | None:
    carries = []
    for s in turned.sites:
        if s.gain is None or s.gain.block != gain.block or s.gain.degree < 0:
            continue
        biases = {flow.arg(d.node, 2) for d in flow.deliveries[s.block]}
        bias = biases.pop()
        if biases or type(bias) is not Ref or bias.index not in flow.origin:
            return None
        name, entries = flow.origin[bias.index]
        carries.append(Carry(s, name, entries.reshape(-1, 1), np.zeros(1, dtype=np.int64)))
    middle = Site(gain.block, gain.axes, gain.positions)
    label = ", ".join(dict.fromkeys([gain.block, *(s.block for s in turned.sites)]))
    return Factor("isospectral", turned.size, label, (middle, *turned.sites), tuple(carries)) if carries else None


# -- the gains ------------------------------------------------------------------------------------------------------------


def _axes(g: Tensor) -> tuple[Tensor, Tensor]:
    """The zeros of p', ascending, and the eigenvectors (n, n - 1) of P diag(g) P, with signs as those of 1 / (g_i - x_k)."""
    n = len(g)
    basis = torch.linalg.svd(torch.eye(n, dtype=g.dtype) - 1.0 / n)[0][:, : n - 1]
    values, inner = torch.linalg.eigh(basis.T @ (g[:, None] * basis))
    vectors = basis @ inner
    return values, vectors * ((g[:, None] - values) * vectors).sum(0).detach().sign()


def _ends(g: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log of how far t may go down and up, less the logarithm of a size that is given too."""
    apart = at[:, None] - g
    sizes, positive = apart.abs().log().sum(1), apart.sign().prod(1) > 0
    down, up = sizes[positive].min(), sizes[~positive].min()
    return down, up, torch.minimum(down, up)


def _tied(g: Tensor) -> bool:
    """Whether two gains are equal, to what can be told: then none of them can move (the interval is a point)."""
    return float(g.sort()[0].diff().min()) <= TIE * float(g.abs().max())


def position(g: Tensor) -> Tensor:
    """Where gains stand on their line: 0 in the middle of the interval."""
    if _tied(g):
        return torch.zeros((), dtype=g.dtype)
    g = g - g.mean()
    down, up, _ = _ends(g, _axes(g)[0])
    return down - up


def moved(g: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    """The gains (n,) after a step along the line, and the rotation (n, n) about the mean that goes with it."""
    if _tied(g):
        return g, torch.eye(len(g), dtype=g.dtype)
    middle = g.mean()
    g = g - middle
    at, before = _axes(g)
    down, up, size = _ends(g, at)
    low, high = (down - size).exp(), (up - size).exp()
    t = (low + high) * torch.sigmoid(down - up + by) - low  # in units of exp(size)
    radius = g.norm()[None]  # the sum of the squares stays
    order = torch.argsort(g)
    ends = torch.cat([-radius, at, radius])
    x = _zeros(g, t.detach(), size, ends[:-1], ends[1:])
    value, slope = _values(g, x, size)
    x = x - (value + t) / slope  # a step of Newton, which derivatives go through
    new = torch.zeros_like(g).index_put((order,), x)
    return new + middle, _axes(new)[1] @ before.T + 1.0 / len(g)


def _values(g: Tensor, x: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """p and its derivative at some points, in units of exp(size)."""
    n = len(g)
    unit = (-size / n).exp()
    d = (x[:, None] - g) * unit
    left = torch.cat([torch.ones_like(d[:, :1]), d.cumprod(1)[:, :-1]], 1)
    right = torch.cat([d.flip(1).cumprod(1).flip(1)[:, 1:], torch.ones_like(d[:, :1])], 1)
    return d.prod(1), (left * right).sum(1) * unit


def _zeros(g: Tensor, t: Tensor, size: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The zeros of p + t between the zeros of p', by halving."""
    rises = _values(g, (low + high) / 2, size)[1] > 0
    for _ in range(HALVINGS):
        x = (low + high) / 2
        above = (_values(g, x, size)[0] + t > 0) == rises
        low, high = torch.where(above, low, x), torch.where(above, x, high)
    return (low + high) / 2


# -- all that goes with them ----------------------------------------------------------------------------------------------


def deformed(f: Factor, element: Tensor, theta: Mapping[str, Tensor]) -> Theta:
    """The point moved by a factor of this kind."""
    middle = f.sites[0]
    g = middle.rows(theta[middle.block]).reshape(-1).double()
    new, q = moved(g, element[0])
    k = _read(g, torch.eye(f.size, dtype=g.dtype)) @ torch.linalg.inv(_read(new, q))
    out: Theta = dict(theta)
    out[middle.block] = middle.put(theta[middle.block], new[:, None, None].to(theta[middle.block].dtype))
    for s in f.sites[1:]:
        rows = s.rows(theta[s.block])
        gain: Any = 1.0
        matrix = q
        if s.gain is not None and s.gain.block != middle.block:
            gain = s.gain.rows(theta[s.gain.block]) ** s.gain.degree
        elif s.gain is not None and s.gain.degree > 0:
            matrix = k.T
        turned = torch.einsum("ij,jmr->imr", matrix.to(rows.dtype), rows * gain) / gain
        out[s.block] = s.put(out[s.block], turned)
    betas = [s for s in f.sites[1:] if s.gain is not None and s.gain.block == middle.block and s.gain.degree < 0]
    for c, beta in ((c, b) for c in f.carries for b in betas[:1]):
        before, after = (beta.rows(x[beta.block]).reshape(-1) for x in (theta, out))
        change = _product(c.source, theta, before) - _product(c.source, out, after)
        bias, at = out[c.target], torch.from_numpy(c.rows).reshape(-1)
        out[c.target] = bias.reshape(-1).index_add(0, at, change.to(bias.dtype)).reshape(bias.shape)
    return out


def _product(reader: Site, theta: Mapping[str, Tensor], b: Tensor) -> Tensor:
    """The reader's weights times a vector of its inputs."""
    return torch.einsum("nmr,n->mr", reader.rows(theta[reader.block]), b).reshape(-1)


def _read(g: Tensor, q: Tensor) -> Tensor:
    """diag(g) Q P, and on ones the direction that it does not reach: an invertible matrix (n, n)."""
    n = len(g)
    p = torch.eye(n, dtype=g.dtype) - 1.0 / n
    left = torch.cat([torch.ones_like(g[:1]), g.cumprod(0)[:-1]])
    right = torch.cat([g.flip(0).cumprod(0).flip(0)[1:], torch.ones_like(g[:1])])
    across = left * right
    across = across / across.norm()
    return g[:, None] * (q @ p) + across[:, None] / n**0.5
