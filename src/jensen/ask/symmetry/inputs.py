"""Moves of a first layer that this data does not feel: what it reads lies in a subspace.

A layer y = W x + b that reads constants (the data, or what is made of it before any block) is unchanged on them where W and b
move along n with x · n_W + n_b = 0 for every row x: inputs that are always 0, constant ones (against the bias), equal ones,
and any other linear dependence; so are the rows of a table that no token asks for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.constants import Made, made_value
from jensen.ask.symmetry.dependence import Span, dependent, idle
from jensen.ask.symmetry.flow import LAYERS, Delivery, Flow, constant_along
from jensen.ask.symmetry.group import Factor, Theta
from jensen.kernel.program import Ref, Term
from jensen.linalg.torch_reading import function

WIDE = 1024  # inputs up to which more than zeros is looked for
PIECE = 1 << 24  # numbers of the data in memory at once

Kind = Literal["zero inputs", "constant inputs", "equal inputs", "dependent inputs", "unused rows"]
WORDS: dict[Kind, tuple[str, str]] = {
    "zero inputs": ("input of {} that is 0 in all the data", "inputs of {} that are 0 in all the data"),
    "constant inputs": (
        "input of {} that is constant in the data, against its bias",
        "inputs of {} that are constant in the data, against its bias",
    ),
    "equal inputs": (
        "input of {} that repeats another in all the data",
        "inputs of {} that repeat others in all the data",
    ),
    "dependent inputs": (
        "input of {} that depends linearly on others in all the data",
        "inputs of {} that depend linearly on others in all the data",
    ),
    "unused rows": ("row of {} that the data does not ask for", "rows of {} that the data does not ask for"),
}
Place = tuple[Term, Flow, Made]


@dataclass(frozen=True, eq=False)
class InputMove:
    """W[o, i] += c[o, :] · directions[i, :] for all outputs o, with any c; the bias along.

    Attributes:
        kind: Why the data does not feel it.
        label: The blocks, in words.
        block, entries: W, and its flat entries (outputs, m) at the m inputs concerned.
        directions: float64 (m, k); None for the identity (k = m).
        bias, places, offsets: b (or None), its flat entries (outputs,), and its part of each direction (k,).
        cells: Cells of outputs that the group may shift together: what is constant on one is no move of the data's alone; -1: in
            no cell; None where there are none.
    """

    kind: Kind
    label: str
    block: str
    entries: np.ndarray = field(repr=False)
    directions: np.ndarray | None = field(default=None, repr=False)
    bias: str | None = None
    places: np.ndarray | None = field(default=None, repr=False)
    offsets: np.ndarray | None = field(default=None, repr=False)
    cells: np.ndarray | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """k, the number of independent directions of the inputs."""
        return self.entries.shape[1] if self.directions is None else self.directions.shape[1]

    @property
    def dimension(self) -> int:
        """Of the move: every output has its own number for every direction."""
        cells = 0 if self.cells is None else len(np.unique(self.cells[self.cells >= 0]))
        return self.size * (self.entries.shape[0] - cells)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks that it moves."""
        moved = self.bias is not None and self.offsets is not None and self.offsets.any()
        return (self.block, self.bias) if moved and self.bias is not None else (self.block,)

    @property
    def words(self) -> str:
        """What it is, in a line."""
        return f"{self.size} {WORDS[self.kind][self.size > 1].format(self.block)}"

    def sample(self, generator: torch.Generator) -> Tensor:
        """A random element: float64 (outputs, k)."""
        outputs = self.entries.shape[0]
        element = 0.5 * torch.randn(outputs, self.size, generator=generator, dtype=torch.float64)
        if self.directions is not None:
            element /= torch.from_numpy(np.abs(self.directions).max(0))
        if self.cells is not None:
            for cell in np.unique(self.cells[self.cells >= 0]):
                inside = torch.from_numpy(self.cells == cell)
                element[inside] -= element[inside].mean(0)
        return element

    def act(self, theta: Mapping[str, Tensor], element: Tensor | None = None) -> Theta:
        """The point moved, by a random element unless one is given."""
        c = self.sample(torch.Generator().manual_seed(0)) if element is None else element
        change = c if self.directions is None else c @ torch.from_numpy(self.directions).T
        out = dict(theta)
        out[self.block] = _added(theta[self.block], self.entries, change)
        if self.bias is not None and self.places is not None and self.offsets is not None:
            out[self.bias] = _added(theta[self.bias], self.places, c @ torch.from_numpy(self.offsets))
        return out


def _added(t: Tensor, entries: np.ndarray, change: Tensor) -> Tensor:
    where = torch.from_numpy(np.array(entries)).reshape(-1)  # a copy: entries may be a view of one number
    return t.reshape(-1).index_add(0, where, change.reshape(-1).to(t.dtype)).reshape(t.shape)


@dataclass(frozen=True, eq=False)
class _Reading:
    """One place where a block reads constants: the node, what it reads, and the entries (outputs, inputs) of the block."""

    node: int
    x: int
    entries: np.ndarray
    table: bool = False
    left: bool = False  # the block stands on the left of a product
    bias: tuple[int, str, np.ndarray] | None = None  # where it is added, its block and entries (outputs,)


def input_moves(places: Sequence[Place], factors: Sequence[Factor]) -> tuple[list[InputMove], list[str]]:
    """Candidates for all blocks that read constants wherever they are read, and what was not looked for, in words.

    Args:
        places: Every term with its flow and the nodes that are made of constants.
        factors: The group's own, whose translations are not counted again.
    """
    out, notes = [], []
    for name in dict.fromkeys(n for _, flow, _ in places for n in flow.deliveries):
        found = _readings(places, name)
        if not found:
            continue
        first = found[0][1]
        inputs = first.entries.shape[1]
        cells = _cells(name, first, factors)
        if first.table or inputs > WIDE:
            zero = idle(_pieces(found), inputs)
            if not first.table:
                notes.append(
                    f"linear dependence among the {inputs} inputs of {name} (more than {WIDE}): only zeros looked for"
                )
            kind = "unused rows" if first.table else "zero inputs"
            out += [InputMove(kind, name, name, first.entries[:, zero], cells=cells)] if len(zero) else []
            continue
        bias = _bias(places, found)
        for kind, span in dependent(lambda f=found: _pieces(f), inputs, bias is not None).items():  # type: ignore[misc]
            out.append(_move(kind, name, first, bias, span, cells))
    return [m for m in out if m.dimension], notes


def _move(kind: Any, name: str, first: _Reading, bias: Any, span: Span, cells: np.ndarray | None) -> InputMove:
    own = first.entries[:, span.inputs]
    if bias is None or not span.offsets.any():
        return InputMove(kind, name, name, own, span.directions, cells=cells)
    return InputMove(kind, f"{name}, {bias[1]}", name, own, span.directions, bias[1], bias[2], span.offsets, cells)


def _readings(places: Sequence[Place], name: str) -> list[tuple[Place, _Reading]]:
    """All places where a block is read; empty where one of them is not linear in constants, or they differ in shape."""
    out: list[tuple[Place, _Reading]] = []
    for place in places:
        for d in place[1].deliveries.get(name, ()):
            found = _reading(place[1], place[2], d)
            if found is None or (out and not np.array_equal(out[0][1].entries, found.entries)):
                return []
            out.append((place, found))
    return out


def _reading(flow: Flow, known: Made, d: Delivery) -> _Reading | None:
    op, args, e = flow.linked.nodes[d.node].op, flow.args(d.node), d.entries
    if op == "aten.embedding.default" and d.arg == 0 and args[1].index in known.of_data:
        return _Reading(d.node, args[1].index, e.T, table=True)
    if d.arg > 1 or op not in (*LAYERS, "aten.matmul.default"):
        return None
    other = args[1 - d.arg]
    if type(other) is not Ref or other.index not in known.of_data:
        return None
    x = other.index
    if op in LAYERS and d.arg == 1 and (op == LAYERS[0] or (flow.arg(d.node, 6) or 1) == 1):
        return _Reading(d.node, x, e.reshape(e.shape[0], -1), bias=_layer_bias(flow, d.node))
    if op == "aten.matmul.default" and e.ndim <= 2 and len(flow.shape(x)) <= (2 if d.arg == 0 else 9):
        rows = e.reshape(1, -1) if e.ndim == 1 else e.T if d.arg == 1 else e
        return _Reading(d.node, x, rows, left=d.arg == 0, bias=_added_bias(flow, d.node, rows.shape[0], d.arg, e.ndim))
    return None


def _layer_bias(flow: Flow, k: int) -> tuple[int, str, np.ndarray] | None:
    b = flow.arg(k, 2)
    if type(b) is Ref:
        return (k, flow.origin[b.index][0], flow.origin[b.index][1].reshape(-1)) if b.index in flow.origin else None
    return _added_bias(flow, k, flow.shape(k)[-1], 1, 2) if flow.linked.nodes[k].op == LAYERS[0] else None


def _added_bias(flow: Flow, k: int, outputs: int, arg: int, axes: int) -> tuple[int, str, np.ndarray] | None:
    """A parameter that is added to the product and that changes along the outputs alone."""
    found = flow.only_add(k)
    if found is None or flow.shape(found[0]) != flow.shape(k):
        return None
    n, name, entries = found
    axis = -1 if axes == 1 else entries.ndim - (1 if arg == 1 else min(entries.ndim, 2))
    if not constant_along(entries, [a for a in range(entries.ndim) if a != axis]):
        return None
    own = entries.reshape(-1)[:1] if axis < 0 else np.moveaxis(entries, axis, -1).reshape(-1, outputs)[0]
    return n, name, own


def _bias(places: Sequence[Place], found: Sequence[tuple[Place, _Reading]]) -> tuple[int, str, np.ndarray] | None:
    """The bias that all readings share and nothing else reads."""
    first = found[0][1].bias
    if first is None:
        return None
    homes: dict[int, list[int]] = defaultdict(list)
    for place, r in found:
        if r.bias is None or r.bias[1] != first[1] or not np.array_equal(r.bias[2], first[2]):
            return None
        homes[id(place)].append(r.bias[0])
    if len(np.unique(first[2])) < len(first[2]):
        return None
    for place in places:
        if sorted(d.node for d in place[1].deliveries.get(first[1], ())) != sorted(homes[id(place)]):
            return None
    return first


def _cells(name: str, r: _Reading, factors: Sequence[Factor]) -> np.ndarray | None:
    """Outputs that the group's translations of this block shift together."""
    for f in (f for f in factors if f.kind == "translation" and f.rest > 1):
        for site in (s for s in f.sites if s.block == name and len(s.axes) == 1):
            out = np.full(r.entries.shape[0], -1)
            along = _coordinate(r.entries, site.axes[0], f.rest, site.positions.max() + 1)
            if along is not None:
                for k, members in enumerate(site.positions):
                    out[np.isin(along, members)] = k
                return out
    return None


def _coordinate(entries: np.ndarray, axis: int, rest: int, n: int) -> np.ndarray | None:
    """Each output's position on an axis of a block with two sides, where the outputs lie on that axis."""
    if entries.shape[1] != rest:
        return None
    return entries[:, 0] // rest if axis == 0 else entries[:, 0] % entries.shape[0]


def _pieces(found: Sequence[tuple[Place, _Reading]]) -> Iterator[np.ndarray]:
    """The rows that the block reads, float64 (rows, inputs), some at a time; of a table, one row of counts."""
    for (term, flow, _), r in found:
        x = made_value(flow.linked, term.tensors, r.x)
        inputs = r.entries.shape[1]
        if r.table:
            yield torch.bincount(x.reshape(-1).long(), minlength=inputs)[None].double().numpy()
            continue
        op, args = flow.linked.nodes[r.node].op, flow.args(r.node)
        x = x.double()
        if op == LAYERS[0] or op == "aten.matmul.default":
            rows = x.transpose(-1, -2) if r.left and x.dim() > 1 else x
            for piece in rows.reshape(-1, inputs).split(_share(inputs)):
                yield piece.numpy()
            continue
        weight = flow.shape(args[1].index)
        one = torch.eye(inputs, dtype=torch.float64).reshape(inputs, *weight[1:])
        batch = x if x.dim() == len(weight) else x[None]
        for piece in batch.split(max(1, _share(inputs) // prod(batch.shape[2:]))):
            patches = function(op)(piece, one, None, *args[3:])
            yield patches.movedim(1, -1).reshape(-1, inputs).numpy()


def _share(inputs: int) -> int:
    return max(inputs + inputs // 4 + 32, min(PIECE // max(inputs, 1), 4096))
