"""The table of atoms, and the ways to fill it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from jensen.atoms import rows
from jensen.atoms.rows import Row
from jensen.kernel import balls
from jensen.kernel.errors import Unmodelled
from jensen.kernel.facts import Fact
from jensen.kernel.program import Merger, Node, Ref, Rewrite, refs
from jensen.kernel.ranges import Range

Facts = Callable[[tuple[Any, ...], Sequence[Fact], Sequence[tuple[int, ...]], int], Fact]
Slopes = Callable[..., tuple[Range, Range, Range]]
Branches = Callable[..., tuple[tuple[float, float, float], ...]]


@dataclass(frozen=True)
class Atom:
    """One operation.

    Attributes:
        op: Its name in a program: the schema name of a torch operation, or ``jensen.*``.
        shape: The arguments with shapes in place of values -> the result's shape.
        facts: (arguments, facts of all nodes so far, shapes of all nodes, own index) -> the fact of the result.
        balls: The arguments with ball arrays in place of values -> a ball array.
        bilinear: Whether it multiplies two of its arguments (for explanations).
        row: For elementwise functions of one variable: attributes -> Row.
        moves: Whether it only moves, copies or drops elements, so that ``balls`` works on arrays of anything.
    """

    op: str
    shape: Callable[..., tuple[int, ...]]
    facts: Facts
    balls: Callable[..., np.ndarray]
    bilinear: bool = False
    row: Callable[..., Row] | None = None
    moves: bool = False


@dataclass(frozen=True)
class Acts:
    """How an operation that is no function of one variable meets moves of its arguments' entries.

    Attributes:
        form: ``map``: it works entry by entry, its arguments broadcast. Otherwise it works on its first argument, along some axes
            and alike at all places of the others: ``fold`` it makes one entry of all, which stand in no order; ``line`` it
            makes as many, and exchanges them with its argument's; ``window`` in an order.
        law: ``sum``: of its arguments, which may be multiplied by one number; ``largest``: by one positive number; ``size``: of
            the absolute values; ``product`` and ``quotient`` of two; ``choice``: of one of the last two by the first;
            ``fill``: of the first and the last by the second; ``test``: it says the same of all positive multiples; ``padding``:
            a sum, where it pads with 0; empty: nothing of these.
        axes: (the first argument's shape, the other arguments) -> the axes; for all but maps.
        shift: What a number does that is added all along the axes: ``through`` it is added to the result; ``times`` it is, as often
            as there are entries; ``away`` nothing; empty: something else.
    """

    form: str
    law: str = ""
    axes: Callable[..., tuple[int, ...]] = lambda shape, *rest: ()
    shift: str = ""


class Nature(NamedTuple):
    """How f(s x) hangs together with f(x), for an elementwise function of one variable, exactly.

    Attributes:
        degree: f(s x) = s**degree f(x) for all s > 0; None where there is no such number.
        parity: 1 odd, 0 even; None neither.
        flip: c where f(-x) = c - f(x) with c other than 0.
    """

    degree: int | Fraction | None = None
    parity: int | None = None
    flip: float | None = None


ODD, EVEN = Nature(parity=1), Nature(parity=0)


@dataclass
class Registry:
    """Atoms and rewriting rules by operation name."""

    atoms: dict[str, Atom] = field(default_factory=dict)
    rewrites: dict[str, Rewrite] = field(default_factory=dict)
    ideals: dict[str, Rewrite] = field(default_factory=dict)
    slopes: dict[str, Slopes] = field(default_factory=dict)
    branches: dict[str, Branches] = field(default_factory=dict)
    acts: dict[str, Acts] = field(default_factory=dict)
    natures: dict[str, Callable[..., Nature]] = field(default_factory=dict)
    _ideal: Registry | None = None

    def get(self, op: str) -> Atom | None:
        return self.atoms.get(op)

    def ideal(self) -> Registry:
        """The registry under which torch's numerical constants are read as what they stand for."""
        if self._ideal is None:
            self._ideal = Registry(
                self.atoms,
                {**self.rewrites, **self.ideals},
                self.ideals,
                self.slopes,
                self.branches,
                self.acts,
                self.natures,
            )
            self._ideal._ideal = self._ideal
        return self._ideal


REGISTRY = Registry()


def register(atom: Atom) -> None:
    if atom.op in REGISTRY.atoms:
        raise ValueError(f"two atoms for {atom.op}")
    REGISTRY.atoms[atom.op] = atom


def rewrite(op: str, rule: Rewrite, *, ideal: bool = False) -> None:
    """Add a rewriting rule for an operation: (merger, node) -> index of an equal node, or None.

    Rules for one operation are tried in the order in which they were added.
    """
    table = REGISTRY.ideals if ideal else REGISTRY.rewrites
    table[op] = _either(table[op], rule) if op in table else rule


def _either(first: Rewrite, second: Rewrite) -> Rewrite:
    def rule(merger: Merger, node: Node) -> int | None:
        found = first(merger, node)
        return second(merger, node) if found is None else found

    return rule


def slopes(op: str, rule: Slopes) -> None:
    """Add an elementwise function's ranges of value, first and second derivative: (range, *attributes) -> three ranges."""
    if op in REGISTRY.slopes:
        raise ValueError(f"two derivative rules for {op}")
    REGISTRY.slopes[op] = rule


def branches(op: str, rule: Branches) -> None:
    """Add the pieces of a continuous piecewise linear function: attributes -> (end, slope, constant) of each."""
    if op in REGISTRY.branches:
        raise ValueError(f"two sets of pieces for {op}")
    REGISTRY.branches[op] = rule


def acts(
    op: str, form: str, law: str = "", axes: Callable[..., tuple[int, ...]] | None = None, shift: str = ""
) -> None:
    """Say how an operation meets moves; see :class:`Acts`."""
    if op in REGISTRY.acts:
        raise ValueError(f"{op} is said twice how it meets moves")
    REGISTRY.acts[op] = Acts(form, law) if axes is None else Acts(form, law, axes, shift)


def nature(op: str, rule: Nature | Callable[..., Nature]) -> None:
    """Say what becomes of an elementwise function of one variable when that is multiplied: attributes -> Nature."""
    if op in REGISTRY.natures:
        raise ValueError(f"two natures for {op}")
    REGISTRY.natures[op] = rule if callable(rule) else lambda *attributes: rule


def along(shape: tuple[int, ...], dim: int, *rest: Any) -> tuple[int, ...]:
    """The axis of an operation along one axis."""
    return axes_of(dim, len(shape)) if shape else ()


def over(shape: tuple[int, ...], dims: Any = None, keepdim: bool = False) -> tuple[int, ...]:
    """The axes of a reduction; none, or an empty list, means all."""
    return axes_of(dims, len(shape))


def row(op: str, build: Callable[..., Row]) -> None:
    """An elementwise function of one variable; ``build`` gets the attributes after the first argument."""
    cached = lru_cache(maxsize=256)(build)

    def built(attributes: tuple[Any, ...]) -> Row:
        if any(type(a) is Ref or type(a) is tuple for a in attributes):
            raise Unmodelled(op, "attributes are numbers", f"{op} with attributes {attributes} is not modelled")
        return cached(*attributes)

    def facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
        return rows.unary(built(args[1:]), out[args[0].index])

    def enclose(x: Any, *attributes: Any) -> np.ndarray:
        return balls.elementwise(built(attributes).ball, x)

    def shape(x: tuple[int, ...], *attributes: Any) -> tuple[int, ...]:
        built(attributes)
        return x

    register(Atom(op, shape, facts, enclose, row=build))


def structural(op: str, move: Callable[..., np.ndarray]) -> None:
    """An operation that only moves, copies or drops elements of its first argument."""

    def shape(x: tuple[int, ...], *attributes: Any) -> tuple[int, ...]:
        return move(np.broadcast_to(np.uint8(0), x), *attributes).shape

    def facts(args: tuple[Any, ...], out: Sequence[Fact], shapes: Any, i: int) -> Fact:
        if type(args[0]) is not Ref or any(True for _ in refs(args[1:])):
            raise Unmodelled(op, "attributes are numbers", f"{op} with a value of the program among its attributes")
        return out[args[0].index]

    register(Atom(op, shape, facts, move, moves=True))


def axes_of(dims: Any, ndim: int) -> tuple[int, ...]:
    """Axes as non-negative, distinct integers; None or an empty list means all."""
    if dims is None or (not isinstance(dims, int) and len(dims) == 0):
        return tuple(range(ndim))
    dims = (dims,) if isinstance(dims, int) else dims
    axes = tuple(sorted(d % ndim if -max(ndim, 1) <= d < max(ndim, 1) and ndim else _bad(d, ndim) for d in dims))
    if len(set(axes)) != len(axes):
        raise ValueError(f"axes {dims} are repeated")
    return axes


def _bad(d: int, ndim: int) -> int:
    if ndim == 0 and d in (0, -1):
        return 0
    raise ValueError(f"axis {d} of a tensor with {ndim} axes")


def reduced(shape: tuple[int, ...], axes: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    """Shape after a reduction."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape) if keepdim or i not in axes)


def count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements are reduced to one."""
    n = 1
    for i in axes:
        n *= shape[i] if shape else 1
    return n
