"""Norms that take their statistics from the batch, epsilon and all: scales that hold at a point, on its batch.

(v + epsilon)^p is not homogeneous, so that a channel in front of the norm has no scale for every point and all data. But the
norm's own gain can make up for the difference, where every entry of it sees one variance v: with the channel times c, hence
its variance times c^2, it is multiplied by sqrt((c^2 v + epsilon) / (v + epsilon)) / c. The move depends on the point and on
the batch through v. A norm of rows (layer, group, instance) has a variance for each row, and one gain for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.characters import Family, Weight, families
from jensen.ask.symmetry.constants import values
from jensen.ask.symmetry.flow import Flow, thin
from jensen.ask.symmetry.frame import Frame
from jensen.ask.symmetry.frames import frames
from jensen.ask.symmetry.group import Factor, Move, Step, Theta
from jensen.ask.symmetry.read import read
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.system import Row, ratio, reduced
from jensen.ask.symmetry.values import Value, spread
from jensen.kernel.program import Linked, Problem, Ref, Term


@dataclass(frozen=True, eq=False)
class Epsilon:
    """A number that is added to a variance whose power a gain multiplies.

    Attributes:
        node, variance: The sum, and the variance in front of it.
        epsilon, power: (variance + epsilon) ** power is the norm's rate.
        gain, entries: The gain's block, and its flat entries (n,).
        places: The flat place in the variance that each of them sees (n,).
    """

    node: int
    variance: int
    epsilon: float
    power: float
    gain: str
    entries: np.ndarray
    places: np.ndarray


@dataclass(frozen=True, eq=False)
class BatchScale:
    """n positive numbers that multiply channels in front of norms; the norms' gains make up for epsilon.

    Attributes:
        factor: The scale as it would be without epsilon.
        norms: The norms, each with the powers (n, entries) of the n numbers by which its variances are multiplied.
    """

    factor: Factor
    norms: tuple[tuple[Epsilon, np.ndarray], ...]
    frames: tuple[Frame, ...]
    linked: Linked
    tensors: Mapping[str, np.ndarray]
    kind: str = "batch scale"

    @property
    def size(self) -> int:
        """n."""
        return self.factor.size

    @property
    def dimension(self) -> int:
        """n."""
        return self.factor.dimension

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that it moves."""
        return tuple(dict.fromkeys([*self.factor.blocks, *(e.gain for e, _ in self.norms)]))

    @property
    def label(self) -> str:
        """These, in words."""
        return ", ".join(self.blocks)

    @property
    def words(self) -> str:
        """What it is, in a line."""
        gains = ", ".join(dict.fromkeys(e.gain for e, _ in self.norms))
        scales = "1 scale" if self.size == 1 else f"{self.size} scales"
        return f"{scales} of {self.factor.label}, made up for in {gains} by the variances of this batch"

    def sample(self, generator: torch.Generator) -> Tensor:
        """A random element: n positive numbers, float64."""
        return self.factor.sample(generator)

    def act(self, theta: Mapping[str, Tensor], element: Tensor | None = None) -> Theta:
        """The point moved, by a random element unless one is given; the batch's variances are those of the point."""
        c = self.sample(torch.Generator().manual_seed(0)) if element is None else element
        at = values(self.linked, self.tensors, tuple(e.variance for e, _ in self.norms), theta)
        out = Move((Step(self.factor, c),), self.frames).act(theta)
        for e, powers in self.norms:
            v = at[e.variance].reshape(-1)[torch.from_numpy(e.places)]
            s = (c.log() @ torch.from_numpy(powers)).exp()
            more = (s * (v + e.epsilon) / (s * v + e.epsilon)) ** e.power
            gain, where = out[e.gain], torch.from_numpy(e.entries)
            flat = gain.reshape(-1).clone()
            flat[where] *= more.to(flat.dtype)
            out[e.gain] = flat.reshape(gain.shape)
        return out


def batch_moves(
    problem: Problem, flow: Flow, known: Sequence[Frame], fixed: frozenset[int]
) -> tuple[list[BatchScale], list[str]]:
    """Candidates, and what is not listed, in words.

    Args:
        flow: Of the first term.
        known: The frames of norms in evaluation mode.
        fixed: Nodes that are made of constants.
    """
    found = epsilons(flow, fixed)
    if not found:
        return [], []
    term, *others = problem.terms
    if others:
        gains = ", ".join(dict.fromkeys(e.gain for e in found))
        return [], [
            f"scales in front of {gains}: each of the {len(problem.terms)} chunks of the data has variances of its own, and the "
            f"gain cannot make up for epsilon in all of them; where the data is one batch they hold"
        ]
    same, _ = frames(flow, term.tensors, term.data)
    flow = Flow(flow.linked, same)
    out: list[BatchScale] = []
    pivots: dict[int, Row] = {}
    for clean in (True, False):  # first those that leave the gains alone but for epsilon
        out += _scales(term, flow, tuple(known), found, pivots, clean)
    return out, []


def epsilons(flow: Flow, fixed: frozenset[int]) -> list[Epsilon]:
    """Norms whose gain sees one variance with each of its entries."""
    out = []
    for i, node in enumerate(flow.linked.nodes):
        if node.op != "aten.add.Tensor":
            continue
        v = [a for a in node.args[:2] if type(a) is Ref]
        number = [a for a in node.args[:2] if type(a) is not Ref]
        if len(v) == 1 and v[0].index not in fixed and float(number[0]) > 0:
            found = _epsilon(flow, i, v[0].index, float(number[0]))
            out += [] if found is None else [found]
    return out


def _epsilon(flow: Flow, i: int, v: int, epsilon: float) -> Epsilon | None:
    k = _only(flow, i, "aten.pow.Tensor_Scalar")
    if k is None:
        return None
    power = float(flow.args(k)[1])
    product = _only(flow, k, "aten.mul.Tensor")
    if product is None:
        product, power = _only(flow, k, "aten.div.Tensor"), -power
        if product is None or flow.args(product)[1] != Ref(k):
            return None
    shape = flow.shape(v)
    where = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), flow.shape(product))
    while len(flow.users[product]) == 1 and flow._moves(flow.users[product][0]):
        product = flow.users[product][0]
        where = flow.move(product, where)
    gained = _only(flow, product, "aten.mul.Tensor")
    other = [] if gained is None else [a for a in flow.args(gained) if type(a) is Ref and a.index in flow.origin]
    if gained is None or len(other) != 1:
        return None
    name, entries = flow.origin[other[0].index]
    if len(flow.deliveries[name]) != 1:
        return None
    whole = flow.shape(gained)
    a, b = thin(*np.broadcast_arrays(np.broadcast_to(entries, whole), np.broadcast_to(where, whole)))
    pairs = np.unique(np.stack([a.reshape(-1), b.reshape(-1)]), axis=1)
    if len(np.unique(pairs[0])) < pairs.shape[1]:
        return None
    return Epsilon(i, v, epsilon, power, name, pairs[0], pairs[1])


def _only(flow: Flow, i: int, op: str) -> int | None:
    users = flow.users[i]
    return users[0] if len(users) == 1 and flow.linked.nodes[users[0]].op == op else None


def _scales(
    term: Term, flow: Flow, known: tuple[Frame, ...], found: Sequence[Epsilon], pivots: dict[int, Row], clean: bool
) -> list[BatchScale]:
    """Scales of the program without the epsilons that move a variance, and are independent of those there (``pivots``)."""
    reader = Reader()
    bare = Flow(flow.linked, {**flow.same, **{e.node: e.variance for e in found}})
    value = read(bare, term.tensors, term.data, reader)
    for part in (p for e in found if clean for p in reader.parts[e.gain]):
        reader.scale.vanish(part.scale)
    out = []
    for family in families(reader, "scale"):
        kept: list[tuple[Weight, list[np.ndarray]]] = []
        for w in family.weights:
            powers = [_powers(reader, value[e.variance], e, w) for e in found]
            row = {n: c for n, c in enumerate(c for own in powers for c in own) if c}
            left = reduced(dict(row), pivots, 0)
            if left:
                pivot = next(iter(left))
                pivots[pivot] = {u: ratio(c, left[pivot]) for u, c in left.items()}
                kept.append((w, [np.array([float(c) for c in own]) for own in powers]))
        if kept:
            sites = Family("scale", tuple(w for w, _ in kept)).sites(reader)
            label = ", ".join(dict.fromkeys(s.block for s in sites))
            norms = ((e, np.stack([p[k] for _, p in kept])) for k, e in enumerate(found))
            out.append(
                BatchScale(
                    Factor("scale", len(kept), label, sites), tuple((e, p) for e, p in norms if p.any()), known,
                    flow.linked, term.tensors,
                )
            )  # fmt: skip
    return out


def _powers(r: Reader, variance: Value, e: Epsilon, w: Weight) -> list[Any]:
    """The powers of a weight's number by which the variances behind the gain's entries are multiplied."""
    grids = [spread(g, variance.shape).reshape(-1)[e.places] for g in variance.scale]
    one = _unit(r, w)
    out = []
    for k in range(len(e.places)):
        terms = [(u, c) for g in grids for u, c in r.scale.table[int(g[k])]]
        out.append(ratio(sum((c * w.vector.get(u, 0) for u, c in terms), 0), one))
    return out


def _unit(r: Reader, w: Weight) -> Any:
    """What the weight's vector was divided by to give its action."""
    (name, k), degrees = next(iter(w.action.items()))
    degree, positions = next(iter(degrees.items()))
    expression = int(r.parts[name][k].scale.reshape(-1)[positions[0]])
    return ratio(w.vector[r.scale.table[expression][0][0]], degree)
