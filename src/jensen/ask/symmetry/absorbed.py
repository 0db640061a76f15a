"""What a weight takes up: a value made of other parameters alone that is added to it, as in W + B A (Hu et al. 2021, LoRA).

Where W is read nowhere else and the parameters of the correction are neither, W + B A is one free matrix: B and A may be anything,
and W makes up for it. In the coordinates W + B A the program is the one without the correction, and is read as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.group import Factor, Site, Step, Theta
from jensen.atoms import registry
from jensen.kernel.program import Problem, Program, Ref, Term, fill, refs, renamed
from jensen.linalg.torch_reading import constant, function

LINEAR = "aten.linear.default"
SUMS = {"aten.add.Tensor": 1.0, "aten.sub.Tensor": -1.0}


@dataclass(frozen=True, eq=False)
class Absorbed:
    """Coordinates in which a weight has its correction in it.

    Attributes:
        weight: The block that takes the correction up.
        blocks: The blocks of the correction.
        value: The correction, with its sign, at a point.
        at: The sum's node, and what stands for it without the correction.
    """

    weight: str
    blocks: tuple[str, ...]
    value: Callable[[Mapping[str, Tensor]], Tensor]
    at: tuple[int, int]

    def moved(self, steps: Sequence[Step], theta: Mapping[str, Tensor]) -> Absorbed:
        """The coordinates after a move: the same."""
        return self

    def to(self, theta: Mapping[str, Tensor]) -> Theta:
        """Blocks -> coordinates."""
        return {**theta, self.weight: theta[self.weight] + self.value(theta)}

    def back(self, theta: Mapping[str, Tensor]) -> Theta:
        """Coordinates -> blocks."""
        return {**theta, self.weight: theta[self.weight] - self.value(theta)}

    def factors(self, theta: Mapping[str, Tensor]) -> list[Factor]:
        """Translations of the blocks of the correction."""
        out = []
        for name in self.blocks:
            size = len(theta[name]) if theta[name].dim() else 1
            axes = (0,) if theta[name].dim() else ()
            site = Site(name, axes, np.arange(size)[:, None])
            out.append(Factor("translation", size, f"{name}, {self.weight}", (site,), rest=theta[name].numel() // size))
        return out


def corrected(found: Any) -> bool:
    """Whether an answer of ``jensen.symmetries`` acts in coordinates in which weights have corrections in them."""
    return any(isinstance(f, Absorbed) for f in found.frames)


def absorbed(problem: Problem, theta: Mapping[str, Tensor]) -> list[Absorbed]:
    """Corrections of a cost of one program: where chunks have several, there must be the same in all."""
    terms = {id(t.program): t for t in problem.terms}
    found = [_Search(t, theta).all() for t in terms.values()]
    keys = [[(a.weight, a.blocks, a.at) for a in own] for own in found]
    return found[0] if found and all(k == keys[0] for k in keys) else []


def without(problem: Problem, found: Sequence[Absorbed]) -> Problem:
    """The problem in the coordinates: sums are what the corrections are added to."""
    alias = dict(a.at for a in found)
    made: dict[int, Program] = {}
    terms = []
    for t in problem.terms:
        if id(t.program) not in made:
            new: list[int] = []
            for i in range(len(t.program.nodes)):
                new.append(new[alias[i]] if i in alias else i)
            nodes = tuple(n._replace(args=renamed(n.args, new)) for n in t.program.nodes)
            made[id(t.program)] = Program(nodes, new[t.program.output])
        terms.append(replace(t, program=made[id(t.program)]))
    return Problem(tuple(terms), problem.blocks)


class _Search:
    """Corrections in one program."""

    def __init__(self, term: Term, theta: Mapping[str, Tensor]):
        self.term, self.theta, self.nodes = term, theta, term.program.nodes
        self.alias: dict[int, int] = {}
        self.own: list[bool] = []  # made of parameters, and of constants that are no data
        for node in self.nodes:
            leaf = node.op == "block" or (node.op == "const" and node.args[0] not in term.data)
            inner = [self.own[j] for j in refs(node.args)]
            self.own.append(leaf or (node.op != "const" and bool(inner) and all(inner)))

    @cached_property
    def users(self) -> list[set[int]]:
        needed, out = [False] * len(self.nodes), [set[int]() for _ in self.nodes]
        needed[self.term.program.output] = True
        for k in range(len(self.nodes) - 1, -1, -1):
            for j in refs(self.nodes[k].args) if needed[k] else ():
                needed[j] = True
                out[j].add(k)
        return out

    def all(self) -> list[Absorbed]:
        out, taken = [], set[str]()
        for k, node in enumerate(self.nodes):
            if (
                node.op not in SUMS
                or len(node.args) != 2
                or not all(type(a) is Ref for a in node.args)
                or not self.users[k]
            ):
                continue
            i, j = (a.index for a in node.args)
            for base, z in ((i, j), (j, i)) if node.op == "aten.add.Tensor" else ((i, j),):
                found = self._weight(k, base, z) or self._layer(k, base, z)
                if found is None or taken & {*found[1]}:
                    continue
                weight, names, value = found
                signed = _signed(value, SUMS[node.op])
                if signed(self.theta).shape != self.theta[weight].shape:
                    continue
                self.alias[k] = base
                taken |= {*names}
                out.append(Absorbed(weight, names, signed, (k, base)))
                break
        return out

    def _root(self, i: int) -> tuple[int, int]:
        """What a sum's first part is without corrections, and the one sum that reads it."""
        last = i
        while i in self.alias:
            i, last = self.alias[i], self.alias[i]
        return i, last

    def _weight(self, k: int, base: int, z: int) -> tuple[str, tuple[str, ...], Any] | None:
        """A block plus a value that is made of other blocks alone, all of them read nowhere else."""
        root, _ = self._root(base)
        if self.nodes[root].op != "block" or not self._only(root, base, k) or not self.own[z]:
            return None
        inside, stack = set[int](), [z]
        while stack:
            i = stack.pop()
            if i not in inside:
                inside.add(i)
                stack += refs(self.nodes[i].args)
        names = tuple(self.nodes[i].args[0] for i in sorted(inside) if self.nodes[i].op == "block")
        fixed = {i for i in inside if self.nodes[i].op == "const"}
        made = {self.nodes[i].op for i in inside} - {"block", "const"}
        if all(registry().atoms[op].moves for op in made if op in registry().atoms):  # a shift says as much
            return None
        if not names or root in inside or any(not self.users[i] <= inside | {k} for i in inside - fixed):
            return None
        order = sorted(inside)

        def value(theta: Mapping[str, Tensor]) -> Tensor:
            return self._run(order, theta)[z]

        return self.nodes[root].args[0], names, value

    def _run(self, order: Sequence[int], theta: Mapping[str, Tensor]) -> dict[int, Any]:
        out: dict[int, Any] = {}
        for i in order:
            node = self.nodes[i]
            if node.op == "block":
                out[i] = theta[node.args[0]]
            elif node.op == "const":
                out[i] = constant(np.asarray(self.term.tensors[node.args[0]]), next(iter(theta.values())).dtype)
            else:
                out[i] = function(node.op)(*fill(node.args, out))
        return out

    def _layer(self, k: int, base: int, z: int) -> tuple[str, tuple[str, ...], Any] | None:
        """A linear layer plus linear layers without biases, one after the other, that begin with the same input."""
        root, _ = self._root(base)
        layer = self.nodes[root]
        if layer.op != LINEAR or not self._only(root, base, k):
            return None
        x, w = (a.index for a in layer.args[:2])
        if self.nodes[w].op != "block" or self.users[w] != {root}:
            return None
        chain: list[str | float | np.ndarray] = []  # from the last to the first: blocks, frozen weights and numbers
        i, reader = z, k
        while i != x:
            node, args = self.nodes[i], list(self.nodes[i].args)
            if self.users[i] != {reader}:
                return None
            if node.op == LINEAR and args[2:] in ([], [None]):
                v = args[1].index
                name = self.nodes[v].args[0] if self.nodes[v].op in ("block", "const") else None
                if name is None or name in self.term.data or (self.nodes[v].op == "block" and self.users[v] != {i}):
                    return None
                chain.append(name if self.nodes[v].op == "block" else np.asarray(self.term.tensors[name]))
            elif node.op in ("aten.mul.Tensor", "aten.div.Tensor") and isinstance(args[1], (int, float)):
                chain.append(args[1] if node.op == "aten.mul.Tensor" else 1.0 / args[1])
            else:
                return None
            i, reader = args[0].index, i
        names = tuple(sorted(c for c in chain if isinstance(c, str)))
        if not names or len({*names}) < len(names):
            return None
        return self.nodes[w].args[0], names, lambda theta: _product(chain, theta)

    def _only(self, root: int, base: int, k: int) -> bool:
        """Whether nothing but sums of corrections, and this one, reads what the correction is added to."""
        i = base
        reader = k
        while True:
            if self.users[i] != {reader}:
                return False
            if i == root:
                return True
            i, reader = self.alias[i], i


def _signed(value: Callable[[Mapping[str, Tensor]], Tensor], sign: float) -> Callable[[Mapping[str, Tensor]], Tensor]:
    return value if sign > 0 else lambda theta: -value(theta)


def _product(chain: Sequence[str | float | np.ndarray], theta: Mapping[str, Tensor]) -> Tensor:
    dtype = next(iter(theta.values())).dtype
    out = torch.ones((), dtype=dtype)
    for c in chain:
        if isinstance(c, (int, float)):
            out = out * c
            continue
        right = theta[c] if isinstance(c, str) else constant(c, dtype)
        out = out @ right if out.dim() else out * right
    return out
