"""What every reading of moves has in common: operands, and which rule an operation is read by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jensen.kernel.claims.invariance_ground import Ground
from jensen.kernel.claims.invariance_moves import Shape, refuse
from jensen.kernel.program import Ref, fill, refs


class Operand(NamedTuple):
    """A value, and what is known of it.

    Attributes:
        x: What a move makes of it.
        shape: Its shape.
        free: Axes along which it does not change, whatever the blocks.
        zero: Whether it is 0 everywhere, whatever the blocks.
        constant: Its entries, where it is a constant.
    """

    x: Any
    shape: Shape
    free: frozenset[int] = frozenset()
    zero: bool = False
    constant: Callable[[], np.ndarray | None] = lambda: None


class Reading(ABC):
    """One generator followed through one program; what a move makes of a value is an object that its subclass knows.

    Attributes:
        ground: The program.
        out: What becomes of the nodes that move, by index.
    """

    def __init__(self, ground: Ground):
        self.ground = ground
        self.out: dict[int, Any] = {}

    @abstractmethod
    def nothing(self, ndim: int) -> Any:
        """What becomes of a value that stands still."""

    @abstractmethod
    def still(self, x: Any) -> bool:
        """Whether a value stands still."""

    @abstractmethod
    def insert(self, x: Any, at: int) -> Any:
        """With a new axis of length 1."""

    @abstractmethod
    def transpose(self, x: Any, order: Sequence[int]) -> Any:
        """With its axes in another order."""

    @abstractmethod
    def drop(self, x: Any, axes: Sequence[int]) -> Any:
        """Without axes along which nothing moves and nothing depends."""

    @abstractmethod
    def inert(self, x: Any, axes: Sequence[int]) -> Any:
        """Unchanged, where nothing moves along these axes and nothing depends on them; length 1 along them."""

    @abstractmethod
    def push(self, f: Callable[[np.ndarray], np.ndarray], x: Operand, out: Shape) -> Any:
        """After f, which only moves, copies or drops entries."""

    @abstractmethod
    def join(self, parts: Sequence[Operand], dim: int) -> Any:
        """Values side by side along an axis."""

    @abstractmethod
    def map(self, i: int, law: str) -> Any:
        """A node that works entry by entry."""

    @abstractmethod
    def plus(self, parts: Sequence[Operand], ndim: int) -> Any:
        """A sum of values, broadcast to ``ndim`` axes."""

    @abstractmethod
    def times(self, a: Operand, b: Operand, ndim: int) -> Any:
        """A product of values, broadcast to ``ndim`` axes."""

    @abstractmethod
    def fold(self, x: Any, shape: Shape, axes: Sequence[int]) -> Any:
        """A sum along some axes, which stay with length 1."""

    @abstractmethod
    def lawful(self, x: Any, law: str) -> Any:
        """What an operation along axes with this law makes of the entries, before any is summed up."""

    def operand(self, j: int) -> Operand:
        g = self.ground
        shape = g.linked.shapes[j]
        x = self.out[j] if j in self.out else self.nothing(len(shape))
        return Operand(x, shape, g.free(j), g.zero(j), lambda: g.value(j))

    def inserted(self, o: Operand, at: int) -> Operand:
        """An operand with a new axis of length 1."""
        free = frozenset({at, *(a + (a >= at) for a in o.free)})
        return Operand(self.insert(o.x, at), (*o.shape[:at], 1, *o.shape[at:]), free, o.zero)

    def first(self, i: int) -> Operand:
        """The first argument of a node; the others must stand still."""
        node = self.ground.linked.nodes[i]
        if type(node.args[0]) is not Ref or any(j in self.out for j in refs(node.args[1:])):
            raise refuse("attributes that stand still", f"more than the first argument of {node.op} moves")
        return self.operand(node.args[0].index)

    def places(self, j: int) -> np.ndarray:
        """A constant that says which entries are read; None would stand for a whole axis."""
        at = self.ground.value(j)
        if at is None:
            raise refuse("places that are constants", "which entries are read is itself computed")
        return at

    def rule(self, i: int) -> Any:
        """What a node with moved arguments makes of them; refused where nothing is known of it."""
        g, node = self.ground, self.ground.linked.nodes[i]
        act, own = g.acts.get(node.op), OWN.get(node.op)
        if own is not None:
            return own(self, i)
        if g.structural(i):
            return self._moved(i)
        if g.is_map(i):
            return self.map(i, act.law if act else "")
        if act is None:
            raise refuse("a rule for the operation", f"nothing is known of {node.op} when its arguments move")
        first = self.first(i)
        axes = act.axes(first.shape, *node.args[1:])
        if act.form == "window":
            return self.lawful(self.inert(first.x, axes), act.law)
        folded = self.fold(self.lawful(first.x, act.law), first.shape, axes)
        if act.form == "line":
            return first.x
        return folded if len(g.linked.shapes[i]) == len(first.shape) else self.drop(folded, axes)

    def _moved(self, i: int) -> Any:
        g, node = self.ground.linked, self.ground.linked.nodes[i]
        x = self.first(i)
        rest = fill(node.args[1:], {j: self.places(j) for j in refs(node.args[1:])})
        return self.push(lambda a: g.atoms[i].balls(a, *rest), x, g.shapes[i])


OWN: dict[str, Callable[[Reading, int], Any]] = {}
