"""A program: a cost as plain data.

Nodes stand in the order in which they are computed; a node's arguments are references to earlier nodes, numbers,
strings, None, or lists of these. Two operations are leaves: ``block`` (a named parameter tensor) and ``const`` (a named
constant tensor). Shapes are not stored: the kernel infers them, so that a file cannot lie about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple

import numpy as np

from jensen.kernel.errors import Rejected, Unmodelled

Shape = tuple[int, ...]

ELEMENTS = 2**31  # in one value


class Ref(NamedTuple):
    """The value of an earlier node."""

    index: int


class Node(NamedTuple):
    name: str
    op: str
    args: tuple[Any, ...]
    module: str = ""


@dataclass(frozen=True)
class Program:
    """Nodes in order, and which one is the cost."""

    nodes: tuple[Node, ...]
    output: int

    def leaves(self, op: str) -> dict[str, int]:
        """Names of the leaves of one kind, and their nodes."""
        return {n.args[0]: i for i, n in enumerate(self.nodes) if n.op == op and n.args}


@dataclass(frozen=True)
class Term:
    """One chunk's part of the cost: a program, its constants, and its weight.

    The constants may be read from somewhere each time they are asked for: the kernel keeps none of them. ``data`` names
    those that are made from the chunk's data, which a certificate may refer to by their hash.
    """

    program: Program
    tensors: Mapping[str, np.ndarray]
    weight: Fraction = Fraction(1)
    data: frozenset[str] = frozenset()


class Seen(NamedTuple):
    """What is remembered of a constant: enough to link a program and to read its facts."""

    shape: Shape
    dtype: np.dtype[Any]
    lo: Any  # NaN where there is no order
    hi: Any


def see(value: np.ndarray) -> Seen:
    """A constant's shape, type and extremes."""
    if value.dtype.kind not in "fiub":
        return Seen(value.shape, value.dtype, np.nan, np.nan)
    if value.size == 0:
        return Seen(value.shape, value.dtype, 0.0, 0.0)
    return Seen(value.shape, value.dtype, value.min(), value.max())


@dataclass(frozen=True)
class Problem:
    """The cost: the weighted sum of its terms, as a function of the blocks."""

    terms: tuple[Term, ...]
    blocks: Mapping[str, Shape]
    known: dict[int, Mapping[str, Seen]] = field(default_factory=dict, repr=False, compare=False)
    shared: dict[int, tuple[np.ndarray, Seen]] = field(default_factory=dict, repr=False, compare=False)
    links: dict[Any, tuple[Any, Linked]] = field(default_factory=dict, repr=False, compare=False)

    def seen(self, k: int) -> Mapping[str, Seen]:
        """What there is to know of term k's constants; they are read once, together."""
        if k not in self.known:
            data = self.terms[k].data
            self.known[k] = {n: see(v) if n in data else self._see_once(v) for n, v in self.terms[k].tensors.items()}
        return self.known[k]

    def _see_once(self, value: np.ndarray) -> Seen:
        """Of a constant that terms may share; it is kept, so that its identity is nobody else's."""
        if id(value) not in self.shared:
            self.shared[id(value)] = (value, see(value))
        return self.shared[id(value)][1]

    def linked(self, k: int, atoms: Any) -> Linked:
        """Term k's program, linked; terms that share program and shapes share the link.

        Kept for one table of atoms each: the ideal reading rewrites what the implemented one must not.
        """
        key = (id(atoms), k)
        if key not in self.links:
            seen, program = self.seen(k), self.terms[k].program
            shapes = tuple(sorted((n, s.shape, s.dtype.str) for n, s in seen.items()))
            alike = (id(atoms), id(program), shapes)
            if alike not in self.links:
                self.links[alike] = (atoms, link(program, seen, self.blocks, atoms))
            self.links[key] = self.links[alike]
        return self.links[key][1]


@dataclass(frozen=True)
class Linked:
    """A program ready to be read: equal subexpressions merged, rewritten, atoms looked up, shapes inferred."""

    program: Program
    nodes: tuple[Node, ...]  # merged; a node's name is that of the first node it stands for
    output: int
    atoms: tuple[Any, ...]
    shapes: tuple[Shape, ...]
    inputs: tuple[tuple[int, ...], ...]
    unmodelled: Unmodelled | None = None  # the first operation without a model; nothing after it is linked


def refs(args: Any) -> Iterator[int]:
    """Indices of the nodes that arguments refer to, in order."""
    for a in args:
        if type(a) is Ref:
            yield a.index
        elif type(a) is tuple:
            yield from refs(a)


def fill(args: tuple[Any, ...], values: Any) -> list[Any]:
    """Arguments with every reference replaced by its value."""
    return [values[a.index] if type(a) is Ref else fill(a, values) if type(a) is tuple else a for a in args]


def renamed(args: tuple[Any, ...], new: Any) -> tuple[Any, ...]:
    """Arguments with every reference ``i`` replaced by ``new[i]``."""
    return tuple(Ref(new[a.index]) if type(a) is Ref else renamed(a, new) if type(a) is tuple else a for a in args)


def _key(args: tuple[Any, ...]) -> tuple[Any, ...]:
    # 1, 1.0 and True, 0.0 and -0.0, a reference and a list of one number compare equal but are not the same argument
    return tuple((type(a), _key(a) if type(a) is tuple else a.index if type(a) is Ref else repr(a)) for a in args)


class Merger:
    """Builds the merged node list; rewriting rules may ask it for further nodes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._seen: dict[tuple[Any, ...], int] = {}

    def add(self, op: str, args: tuple[Any, ...], name: str, module: str = "") -> int:
        """The index of this operation on these arguments, new or seen before."""
        key = (op, _key(args))
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = len(self.nodes)
            self.nodes.append(Node(name, op, args, module))
        return found


Rewrite = Callable[[Merger, Node], "int | None"]


def merge(program: Program, rewrites: Mapping[str, Rewrite]) -> tuple[list[Node], int, list[tuple[Node, int]]]:
    """The nodes that the output needs, equal ones merged and the rewriting rules applied; the output; what was rewritten."""
    needed = _needed(program)
    merger = Merger()
    new: list[int] = [-1] * len(program.nodes)
    rewritten: list[tuple[Node, int]] = []
    for i in needed:
        name, op, args, module = program.nodes[i]
        args, rewrite, found = renamed(args, new), rewrites.get(op), None
        if rewrite:
            found = rewrite(merger, Node(name, op, args, module))
            if found is not None:
                rewritten.append((Node(name, op, args, module), found))
        new[i] = merger.add(op, args, name, module) if found is None else found
    return merger.nodes, new[program.output], rewritten


def _needed(program: Program) -> list[int]:
    nodes = program.nodes
    if not 0 <= program.output < len(nodes):
        raise Rejected("program", "an output", "the program names an output that it does not have")
    seen = {program.output}
    stack = [program.output]
    while stack:
        i = stack.pop()
        for j in refs(nodes[i].args):
            if not 0 <= j < i:
                raise Rejected(nodes[i].name, "order", "the node refers to a node that does not come before it")
            if j not in seen:
                seen.add(j)
                stack.append(j)
    return sorted(seen)


def link(program: Program, tensors: Mapping[str, Any], blocks: Mapping[str, Shape], atoms: Any) -> Linked:
    """Merge, look up each operation's atom, infer each shape."""
    nodes, output, rewritten = merge(program, atoms.rewrites)
    found: list[Any] = []
    shapes: list[Shape] = []
    inputs = tuple(tuple(dict.fromkeys(refs(n.args))) for n in nodes)
    unmodelled = None
    for node in nodes:
        try:
            if node.op in ("block", "const"):
                atom, shape = None, _leaf_shape(node, tensors, blocks)
            else:
                atom = atoms.get(node.op)
                if atom is None:
                    raise Unmodelled(node.name, "an atom for every operation", f"no atom models {node.op}")
                shape = _infer(atom, node, shapes)
            if prod(shape) > ELEMENTS:
                raise Rejected(node.name, "bounded sizes", f"a value of shape {shape} has more than 2**31 elements")
            found.append(atom)
            shapes.append(shape)
        except Unmodelled as e:
            unmodelled = e
            break
    for node, i in rewritten if unmodelled is None else ():
        if atoms.get(node.op) is None or _infer(atoms.get(node.op), node, shapes) != shapes[i]:
            raise Rejected(node.name, "a rewriting keeps the shape", f"{node.op} was rewritten to shape {shapes[i]}")
    if unmodelled is None and shapes[output] != ():
        raise Rejected(nodes[output].name, "a scalar cost", f"the output has shape {shapes[output]}, not ()")
    return Linked(program, tuple(nodes), output, tuple(found), tuple(shapes), inputs, unmodelled)


def _leaf_shape(node: Node, tensors: Mapping[str, Any], blocks: Mapping[str, Shape]) -> Shape:
    if len(node.args) != 1 or not isinstance(node.args[0], str):
        raise Rejected(node.name, "leaves", "a leaf has one argument, its name")
    key = node.args[0]
    if node.op == "block":
        if key not in blocks:
            raise Rejected(node.name, "known blocks", f"the program uses block {key!r}, which the claim does not list")
        return tuple(blocks[key])
    if key not in tensors:
        raise Rejected(node.name, "known tensors", f"the program uses tensor {key!r}, which is not given")
    return tensors[key].shape


def _infer(atom: Any, node: Node, shapes: list[Shape]) -> Shape:
    try:
        return tuple(int(n) for n in atom.shape(*fill(node.args, shapes)))
    except Rejected as e:
        raise type(e)(node.name, e.rule, e.why) from None
    except (ValueError, TypeError, IndexError, AttributeError, KeyError, ZeroDivisionError, OverflowError) as e:
        raise Unmodelled(node.name, "well-formed arguments", f"{node.op} with these arguments: {e}") from None
