"""Residual streams between norms: a norm commutes with rotations (a layer norm with those that leave the mean alone), so that a
stream whose every reader is a norm in front of linear layers, or a linear layer, may be rotated as a whole. The norm's gain
stands in the way only in appearance: it belongs to the readers' columns (Ashkboos et al. 2024, SliceGPT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jensen.ask.symmetry.flow import Flow, constant_along
from jensen.ask.symmetry.group import Factor, Site
from jensen.kernel.program import Ref

Signs = tuple[set[object], set[int]]  # where a product of families of signs acts, and which families
Gains = dict[str, tuple[str, str]]  # block -> (role: reader, writer or bias, block of the gain)


def gains(flow: Flow) -> tuple[Gains, frozenset[str]]:
    """Linear readers and biases behind a gain, layers in front of one, and the gains."""
    out: Gains = {}
    all_gains = set()
    for i, node in enumerate(flow.linked.nodes):
        if node.op != "aten.mul.Tensor" or not all(type(a) is Ref for a in node.args):
            continue
        for x, g in ((0, 1), (1, 0)):
            gain, other = flow.origin.get(node.args[g].index), node.args[x].index
            if gain is None or other in flow.origin or not gain_along(gain[1], flow.shape(i)):
                continue
            all_gains.add(gain[0])
            _writers(flow, other, gain[0], out)
            _follow(flow, i, gain[0], out)
    return out, frozenset(all_gains)


def gain_along(entries: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether a parameter's entries run along the last axis of a shape, one for each place."""
    whole = np.broadcast_to(entries, shape)
    return len(shape) > 0 and entries.size == shape[-1] > 1 and constant_along(whole, range(len(shape) - 1))


def _writers(flow: Flow, i: int, gain: str, out: Gains) -> None:
    """The layer whose result the gain multiplies (LayerScale), before that is added to the stream."""
    node = flow.linked.nodes[i]
    if node.op == "aten.linear.default" and len(flow.users[i]) == 1:
        for at in node.args[1:]:
            if type(at) is Ref and at.index in flow.origin:
                out[flow.origin[at.index][0]] = ("writer", gain)


def _follow(flow: Flow, i: int, gain: str, out: Gains) -> None:
    for k in flow.users[i]:
        node = flow.linked.nodes[k]
        if node.op == "aten.add.Tensor":
            other = [a for a in node.args if a != Ref(i)]
            if len(other) == 1 and type(other[0]) is Ref and other[0].index in flow.origin:
                out[flow.origin[other[0].index][0]] = ("bias", gain)
                _follow(flow, k, gain, out)
        elif node.op in ("aten.linear.default", "aten.matmul.default"):
            w = node.args[1]
            if node.args[0] == Ref(i) and type(w) is Ref and w.index in flow.origin:
                out[flow.origin[w.index][0]] = ("reader", gain)
        elif flow._moves(k) or node.op == "aten.mean.dim":
            _follow(flow, k, gain, out)


def rotation(flow: Flow, factor: Factor, why: frozenset[str]) -> Factor | None:
    """Orthogonal matrices in place of a stream's permutations, to be tried; None where something else than norms reads it."""
    if not why <= {"mean", "gain"}:
        return None
    behind, own = gains(flow)
    found: list[Site] = []
    sites = {s.block: s for s in factor.sites}
    if len(sites) < len(factor.sites):
        return None
    for site in factor.sites:
        if site.block in own:
            continue
        role, block = behind.get(site.block, ("", ""))
        gain = sites.get(block)
        if role and gain is None:
            return None
        power = 0.0 if gain is None else -1.0 if role == "bias" else 1.0
        by = None if gain is None else Site(gain.block, gain.axes, gain.positions, power)
        found.append(Site(site.block, site.axes, site.positions, 1.0, by))
    if not found:
        return None
    return Factor("orthogonal", factor.size, factor.label, tuple(found), power=factor.power, centred="mean" in why)


def general(turned: Factor, scale: Sequence[Site]) -> Factor | None:
    """All invertible matrices in place of rotations, where the stream's units have scales: no norm reads it. None where the scales
    stand elsewhere than the rotations."""
    degrees = {_key(s): s.degree for s in scale}
    if turned.centred or degrees.keys() != {_key(s) for s in turned.sites} or not {*degrees.values()} <= {1.0, -1.0}:
        return None
    return replace(turned, kind="linear", sites=tuple(replace(s, degree=degrees[_key(s)]) for s in turned.sites))


def is_sign_of(sites: Sequence[Site], rotation: Factor) -> bool:
    """Whether a single sign is -1 on the stream, and so one of its rotations."""
    mine = {(s.block, s.axes) for s in sites if s.positions.shape[0] == 1}
    return any((s.block, s.axes) in mine and s.gain is None for s in rotation.sites)


def reflected(kept: Sequence[Factor]) -> Factor | None:
    """A stream's sign that is a rotation about its mean and a shear that turns the mean around, so that it counts among both."""
    for t in (f for f in kept if f.kind == "orthogonal" and f.centred):
        own = {(s.block, s.axes) for s in t.sites if s.gain is None}
        if not any(f.kind == "shear" and own & {(s.block, s.axes) for s in f.sites} for f in kept):
            continue
        signs = [f for f in kept if f.kind == "sign" and f.size == 1 and is_sign_of(f.sites, t)]
        gains = {s.gain.block for s in t.sites if s.gain is not None}
        plain = [f for f in signs if not gains & set(f.blocks)]
        if signs:
            return (plain or signs)[0]
    return None


def diagonal(signs: Sequence[Factor], rotation: Factor) -> Factor | None:
    """A family of signs that the others make up with a rotation's diagonal matrices, so that it counts among the rotations.

    A sign for each unit of the stream is a rotation; in the basis of the signs it is a product of families, found modulo 2.
    """
    if rotation.centred:
        return None
    own = [f for f in signs if f.size == rotation.size]
    wanted: set[object] = {_key(s) for s in rotation.sites}
    rows: list[Signs] = []  # sites of a product of families, and which
    for k, f in enumerate(own):
        sites: set[object] = {_key(s) for s in f.sites if s.degree % 2}
        row = _reduced((sites, {k}), rows)
        if row[0]:
            rows.append(row)
    rest, used = _reduced((wanted, set()), rows)
    return None if rest or not used else own[min(used)]


def _reduced(row: Signs, rows: Sequence[Signs]) -> Signs:
    for other in rows:
        if next(iter(other[0])) in row[0]:
            row = row[0] ^ other[0], row[1] ^ other[1]
    return row


def _key(s: Site) -> tuple[object, ...]:
    return (s.block, s.axes, tuple(sorted(tuple(sorted(row)) for row in s.positions.tolist())))
