"""Shears: streams that add to all their units one number, linear in the units, which the norms behind them take away.

A stream x that linear layers read as it is, and that is otherwise only added to what norms take the mean from, may become
A x with A = I + 1 w': the layers' weights become W A^-1, and what writes the stream writes A x. (Where no linear layer reads it,
the same is a translation of what writes it; where no norm does, A may be any matrix.) A norm's bias b in front of layers
without biases is of the same kind: g n + b lies in a plane, and matrices that move that plane in itself along b are shears of
the readers' columns times the gain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jensen.ask.symmetry.flow import LAYERS, SOFTMAX, Flow
from jensen.ask.symmetry.group import Factor, Site
from jensen.ask.symmetry.pointwise import dims_of
from jensen.ask.symmetry.relations import Relation, relation
from jensen.ask.symmetry.tracks import after, before, block_axis, of_ref, on
from jensen.kernel.program import Ref

LINEAR, MATMUL, EMBEDDING = "aten.linear.default", "aten.matmul.default", "aten.embedding.default"
SUMS = ("aten.add.Tensor", "aten.sub.Tensor")
PRODUCTS = ("aten.mul.Tensor", "aten.div.Tensor")
MEANS = ("aten.mean.dim", "aten.sum.dim_IntList")

Shape = tuple[int, ...]
Way = tuple[
    int, int
]  # the axis of the units, counted from the last, and the degree: 1 for A, -1 for its inverse transposed
PART = 0  # the degree of what is moved along the vector of ones alone


def shears(flow: Flow, shapes: dict[str, Shape], others: Sequence[Factor]) -> list[Factor]:
    """Candidates; ``others`` are shifts, which biases of norms need no shears for where there are any."""
    out: list[Factor] = []
    seen: set[int] = set()
    for node in flow.linked.nodes:
        if node.op not in (LINEAR, MATMUL) or type(node.args[0]) is not Ref or node.args[0].index in seen:
            continue
        x = node.args[0].index
        if x in flow.origin or not flow.shape(x):
            continue
        s = Stream(flow, shapes, flow.shape(x)[-1])
        if s.closed(x):
            out.append(s.factor())
            seen |= s.ways.keys()
    shifted = {f.sites[0].block for f in others if f.kind == "shift" and f.sites}
    return [*out, *_of_biases(flow, shapes, shifted)]


class Stream:
    """All values that are multiplied by A (by its inverse transposed), where something takes away what A adds."""

    def __init__(self, flow: Flow, shapes: dict[str, Shape], n: int):
        self.flow, self.shapes, self.n = flow, shapes, n
        self.ways: dict[int, Way] = {}  # nodes that must be moved so
        self.sites: dict[str, Way] = {}  # blocks: axis, degree
        self.killed = False

    def closed(self, x: int) -> bool:
        """Whether value x may be multiplied by A along its last axis, something being taken away."""
        wanted: list[tuple[int, Way]] = [(x, (-1, 1))]
        while wanted:
            if not self._need(wanted):
                return False
            found = self._followed()
            if found is None:
                return False
            wanted = found
        return self.n > 1 and self.killed

    def factor(self) -> Factor:
        """The group of all A."""
        each = np.arange(self.n)[:, None]
        sites = tuple(Site(name, (axis,), each, float(degree)) for name, (axis, degree) in self.sites.items())
        return Factor("shear", self.n, ", ".join(self.sites), sites)

    # -- backwards: what must be moved so that a value is ---------------------------------------------------------

    def _need(self, wanted: list[tuple[int, Way]]) -> bool:
        stack = list(wanted)
        while stack:
            i, way = stack.pop()
            if i in self.ways:
                if self.ways[i] != way:
                    return False
                continue
            if not on(self.flow.shape(i), way[0], self.n):
                return False
            self.ways[i] = way
            more = self._written(i, way) if i in self.flow.origin else self._made(i, way)
            if more is None:
                return False
            stack += more
        return True

    def _written(self, i: int, way: Way) -> list[tuple[int, Way]] | None:
        """A parameter: it is moved wherever it is delivered."""
        name, entries = self.flow.origin[i]
        axis = block_axis(entries, way[0], self.shapes[name])
        if axis is None or self.sites.setdefault(name, (axis, way[1])) != (axis, way[1]):
            return None
        out = []
        for d in self.flow.deliveries[name]:
            own = next(
                (a for a in range(-d.entries.ndim, 0) if block_axis(d.entries, a, self.shapes[name]) == axis), None
            )
            more = None if own is None else self._delivered(d.node, d.arg, own, way[1])
            if more is None:
                return None
            out.append(more)
        return out

    def _delivered(self, k: int, arg: int, axis: int, degree: int) -> tuple[int, Way] | None:
        """What a parameter that is moved moves where it is delivered, or what must be moved with it."""
        node, nd = self.flow.linked.nodes[k], len(self.flow.shape(k))
        if node.op in (*SUMS, *PRODUCTS, "aten.cat.default"):
            return k, (axis, degree)
        if node.op in LAYERS:
            channels = -1 if node.op == LINEAR else 1 - nd
            if arg == 2 or (arg == 1 and axis == (-2 if node.op == LINEAR else -nd)):
                return k, (channels, degree)
            ones = node.op == LINEAR or (self.flow.arg(k, 6) or 1) == 1
            reads = arg == 1 and ones and axis == (-1 if node.op == LINEAR else 1 - nd)
            return (node.args[0].index, (channels, -degree)) if reads else None
        if node.op == EMBEDDING and arg == 0 and axis == -1:
            return k, (-1, degree)
        if node.op == MATMUL:
            kept, other = ((-2, 1), (-1, 0))[arg]
            return (k, (kept, degree)) if axis == kept else (node.args[other].index, (-1 if arg else -2, -degree))
        return None

    def _made(self, i: int, way: Way) -> list[tuple[int, Way]] | None:
        """What must be moved so that the result of an operation is."""
        node, (axis, degree) = self.flow.linked.nodes[i], way
        args, shape = node.args, self.flow.shape(i)
        if node.op in SUMS:
            return [(a.index, way) for a in args] if all(type(a) is Ref for a in args) else None
        if node.op in PRODUCTS:
            x = self._scaled(i, axis)
            return None if x is None else [(x, way)]
        if node.op in LAYERS:
            linear = node.op == LINEAR
            if axis != (-1 if linear else 1 - len(shape)) or (not linear and (self.flow.arg(i, 6) or 1) != 1):
                return None
            bias = self.flow.arg(i, 2)
            out = [(args[1].index, (-len(self.flow.shape(args[1].index)), degree))]
            return [*out, (bias.index, (-1, degree))] if type(bias) is Ref else out
        if node.op == EMBEDDING:
            return [(args[0].index, (-1, degree))] if axis == -1 else None
        if node.op == MATMUL:
            return [(args[0 if axis == -2 else 1].index, way)] if axis >= -2 else None
        if node.op == "aten.cat.default":
            return (
                [(a.index, way) for a in args[0]]
                if (self.flow.arg(i, 1) or 0) % len(shape) != axis + len(shape)
                else None
            )
        if node.op in MEANS:
            x = args[0].index
            back = next((a for a in range(-len(self.flow.shape(x)), 0) if self._kept(i, a) == axis), None)
            return None if back is None else [(x, (back, degree))]
        if node.op not in ("block", "const") and self.flow._moves(i):
            source = before(self.flow, i, axis)
            return None if source is None else [(self.flow.linked.inputs[i][0], (source, degree))]
        return None

    def _scaled(self, i: int, axis: int) -> int | None:
        """What a product multiplies by numbers that are the same along an axis."""
        args = self.flow.args(i)
        flat = [type(a) is not Ref or not on(self.flow.shape(a.index), axis, self.n) for a in args]
        if flat == [False, True]:
            return args[0].index
        return args[1].index if flat == [True, False] and self.flow.linked.nodes[i].op == "aten.mul.Tensor" else None

    def _kept(self, i: int, axis: int) -> int | None:
        """Where an axis of a mean's or a sum's input is in its result."""
        args = list(self.flow.args(i))
        nd = len(self.flow.shape(args[0].index))
        dims = dims_of(args, 1, nd)
        if axis + nd in dims:
            return None
        return axis if len(self.flow.shape(i)) == nd else axis + sum(d > axis + nd for d in dims)

    # -- forwards: what becomes of it ---------------------------------------------------------------------------------

    def _followed(self) -> list[tuple[int, Way]] | None:
        """What else must be moved; None where something would feel it."""
        state = dict(self.ways)
        self.killed = False
        for k in range(len(self.flow.linked.nodes)):
            inputs = self.flow.linked.inputs[k]
            if k in self.ways:
                if not self.flow.users[k]:
                    return None
                continue
            if not any(j in state for j in inputs):
                continue
            found = self._step(k, state)
            if found is None or (found and found[0] == k and not self.flow.users[k]):
                return None
            if found and found[0] == k:
                state[k] = found[1]
            elif found:
                return [found]
        return []

    def _step(self, k: int, state: dict[int, Way]) -> tuple[int, Way] | tuple[()] | None:
        """The result's way (with k), what must be moved besides, () where nothing is felt, None where something is."""
        node, flow = self.flow.linked.nodes[k], self.flow
        moved = [j for j in flow.linked.inputs[k] if j in state]
        axis, degree = state[moved[0]]
        if flow._moves(k):
            there = after(flow, k, axis, self.n)
            return None if there is None else (k, (there, degree))
        if node.op in (LINEAR, MATMUL):
            return self._read(k, state)
        if degree < 0 or any(state[j][0] != axis for j in moved):
            return None
        if node.op in SUMS:
            return self._summed(k, moved, axis, state)
        if node.op in PRODUCTS:
            return (k, (axis, degree)) if moved == [self._scaled(k, axis)] else None
        if node.op in MEANS:
            return self._averaged(k, axis, degree)
        if node.op in SOFTMAX and node.args[-1] % len(flow.shape(k)) == axis + len(flow.shape(k)):
            self.killed = True
            return () if len(moved) == 1 and node.args[0] == Ref(moved[0]) else None
        if node.op == "aten.cat.default" and (flow.arg(k, 1) or 0) % len(flow.shape(k)) != axis + len(flow.shape(k)):
            whole = len(moved) == len(node.args[0]) and all(state[j][1] == 1 for j in moved)
            return k, (axis, 1 if whole else PART)
        return None

    def _summed(self, k: int, moved: list[int], axis: int, state: dict[int, Way]) -> tuple[int, Way] | tuple[()] | None:
        args = self.flow.args(k)
        x = args[0].index if type(args[0]) is Ref else -1
        if self.flow.linked.nodes[k].op == "aten.sub.Tensor" and moved == [x]:
            nd = len(self.flow.shape(x))
            if self.flow.is_mean_of(args[1], x) == (axis + nd,):
                self.killed = True
                return ()
        whole = len(moved) == len(args) and all(state[j][1] == 1 for j in moved)
        return k, (axis, 1 if whole else PART)

    def _averaged(self, k: int, axis: int, degree: int) -> tuple[int, Way] | tuple[()] | None:
        """Over other axes; or the mean that is taken away."""
        there, x = self._kept(k, axis), of_ref(self.flow.args(k)[0])
        if there is not None:
            return k, (there, degree)
        own = (axis + len(self.flow.shape(x)),)
        centres = all(
            self.flow.linked.nodes[u].op == "aten.sub.Tensor"
            and self.flow.args(u)[0] == Ref(x)
            and self.flow.is_mean_of(self.flow.args(u)[1], x) == own
            for u in self.flow.users[k]
        )
        return () if centres and self.flow.users[k] else None

    def _read(self, k: int, state: dict[int, Way]) -> tuple[int, Way] | tuple[()] | None:
        """A linear reader: its weights must be moved the other way."""
        a, b = (of_ref(x) for x in self.flow.args(k)[:2])
        if state.get(a) != (-1, 1):
            return None
        back = (-1 if self.flow.linked.nodes[k].op == LINEAR else -2, -1)
        if b not in state:
            return b, back
        return () if state[b] == back else None


# -- biases of norms --------------------------------------------------------------------------------------------------


def _of_biases(flow: Flow, shapes: dict[str, Shape], shifted: set[str]) -> list[Factor]:
    """For each norm's bias that no reader's bias takes up."""
    if not any((n.op == LINEAR and len(n.args) < 3) or n.args[2:] == (None,) for n in flow.linked.nodes):
        return []
    found = {i: r for i in range(len(flow.linked.nodes)) if (r := relation(flow, i)) is not None and r.beta is not None}
    by: dict[object, list[int]] = {}
    for i, r in found.items():
        by.setdefault(r.key, []).append(i)
    made = [_of_bias(flow, shapes, found[own[0]], own) for own in by.values()]
    return [f for f in made if f is not None and f.sites[0].block not in shifted]


def _of_bias(flow: Flow, shapes: dict[str, Shape], r: Relation, own: list[int]) -> Factor | None:
    """The shears of one bias, of all layers that read it, in units of the gain."""
    if r.beta is None or r.total:
        return None
    name, entries = r.beta
    every, n = set(own), len(entries)
    if n < 2 or any(d.node not in every for d in flow.deliveries[name]):
        return None
    readers: dict[str, set[int]] = {}
    for i in own:
        for k in flow.users[i]:
            if k in every:
                continue
            w = flow.arg(k, 1)
            if flow.linked.nodes[k].op != LINEAR or flow.args(k)[0] != Ref(i) or w.index not in flow.origin:
                return None
            block, where = flow.origin[w.index]
            if block_axis(where, -1, shapes[block]) != 1 or len(shapes[block]) != 2 or where.shape != shapes[block]:
                return None
            readers.setdefault(block, set()).add(k)
    if not readers or any({d.node for d in flow.deliveries[b]} != ks for b, ks in readers.items()):
        return None

    def gain(power: float) -> Site | None:
        return None if r.gamma is None else _flat(shapes, *r.gamma, power)

    each = np.arange(n)[:, None]
    bias = _flat(shapes, name, entries, -1.0, gain(-1.0))
    sites = (bias, *(Site(b, (1,), each, 1.0, gain(1.0)) for b in readers))
    return Factor("shear", n, ", ".join(s.block for s in sites), sites)


def _flat(shapes: dict[str, Shape], name: str, entries: np.ndarray, degree: float, gain: Site | None = None) -> Site:
    return Site(name, tuple(range(len(shapes[name]))), entries[:, None].copy(), degree, gain)
