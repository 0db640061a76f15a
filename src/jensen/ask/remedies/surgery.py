"""Changes made on the program itself: fast enough to search with, before a module of the user's is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from jensen.kernel.program import Node, Problem, Program, Ref, Term, refs

Swap = Callable[[Node], "tuple[str, tuple[Any, ...]] | None"]  # a node -> another operation and its arguments


def inside(node: Node, path: str) -> bool:
    """Whether a node belongs to a module."""
    return node.module == path or node.module.startswith(path + ".")


def rewired(program: Program, alias: Mapping[int, int], swap: Mapping[int, tuple[str, tuple[Any, ...]]]) -> Program:
    """The program with some nodes replaced by earlier ones, and others by other operations."""
    new: dict[int, int] = {}
    nodes: list[Node] = []
    for i, node in enumerate(program.nodes):
        if i in alias:
            new[i] = new[alias[i]]
            continue
        op, args = swap.get(i, (node.op, node.args))
        new[i] = len(nodes)
        nodes.append(node._replace(op=op, args=_rename(args, new)))
    return _trimmed(Program(tuple(nodes), new[program.output]))


def _rename(args: tuple[Any, ...], new: Mapping[int, int]) -> tuple[Any, ...]:
    return tuple(Ref(new[a.index]) if type(a) is Ref else _rename(a, new) if type(a) is tuple else a for a in args)


def _trimmed(program: Program) -> Program:
    """Only what the output needs."""
    seen, stack = {program.output}, [program.output]
    while stack:
        for j in refs(program.nodes[stack.pop()].args):
            if j not in seen:
                seen.add(j)
                stack.append(j)
    order = sorted(seen)
    new = {i: k for k, i in enumerate(order)}
    nodes = tuple(program.nodes[i]._replace(args=_rename(program.nodes[i].args, new)) for i in order)
    return Program(nodes, new[program.output])


def changed(problem: Problem, edit: Callable[[Program], Program | None]) -> Problem | None:
    """The problem with every program edited; blocks that none reads any more are gone. None where an edit fails."""
    done: dict[int, Program | None] = {}
    terms = []
    for term in problem.terms:
        if id(term.program) not in done:
            done[id(term.program)] = edit(term.program)
        program = done[id(term.program)]
        if program is None:
            return None
        terms.append(with_program(term, program))
    used = {name for t in terms for name in t.program.leaves("block")}
    blocks = {n: s for n, s in problem.blocks.items() if n in used}
    return Problem(tuple(terms), blocks) if blocks else None


class Selected(Mapping[str, np.ndarray]):
    """Some of a term's constants, and others; those of streamed data are still read when they are asked for."""

    def __init__(self, inner: Mapping[str, np.ndarray], names: Iterable[str], extra: Mapping[str, np.ndarray]):
        self.inner, self.extra = inner, extra
        self.names = [n for n in names if n in extra or n in inner]
        self.streamed = bool(getattr(inner, "streamed", False))

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        return self.extra[name] if name in self.extra else self.inner[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def with_program(term: Term, program: Program, extra: Mapping[str, np.ndarray] | None = None) -> Term:
    """A term with another program, and those of its constants that it still reads."""
    leaves = program.leaves("const")
    kept = Selected(term.tensors, leaves, extra or {})
    tensors = kept if kept.streamed else {n: kept[n] for n in kept}
    return Term(program, tensors, term.weight, term.data & set(leaves))


def bypass(program: Program, path: str) -> dict[int, int] | None:
    """Which nodes to replace by which, so that a module becomes the identity; None where it has no one way through."""
    region = {i for i, n in enumerate(program.nodes) if n.op not in ("block", "const") and inside(n, path)}
    if not region:
        return None
    leaf = {i for i, n in enumerate(program.nodes) if n.op in ("block", "const")}
    entries = {j for i in region for j in refs(program.nodes[i].args) if j not in region}
    entry = (entries - leaf) or {j for j in entries if str(program.nodes[j].args[0]).startswith("data_")}
    exits = {j for i, n in enumerate(program.nodes) if i not in region for j in refs(n.args) if j in region}
    exits |= {program.output} & region
    if len(entry) != 1 or len(exits) != 1:
        return None
    return {exits.pop(): entry.pop()}


def fixed(problem: Problem, values: Mapping[str, np.ndarray]) -> Problem | None:
    """The problem with some blocks fixed at values."""

    def edit(program: Program) -> Program:
        nodes = tuple(
            n._replace(op="const", args=(f"fixed.{n.args[0]}",), name=f"fixed.{n.args[0]}")
            if n.op == "block" and n.args[0] in values
            else n
            for n in program.nodes
        )
        return Program(nodes, program.output)

    extra = {f"fixed.{n}": v for n, v in values.items()}
    done: dict[int, Program] = {}
    terms = []
    for term in problem.terms:
        program = done.setdefault(id(term.program), edit(term.program))
        terms.append(with_program(term, program, extra))
    blocks = {n: s for n, s in problem.blocks.items() if n not in values}
    return Problem(tuple(terms), blocks) if blocks else None


def squares(names: Iterable[str], shapes: Mapping[str, tuple[int, ...]]) -> Program:
    """The sum of squares of some blocks, as a program."""
    nodes: list[Node] = []
    total = -1
    for n in names:
        nodes.append(Node(n, "block", (n,)))
        nodes.append(Node(f"square.{n}", "aten.pow.Tensor_Scalar", (Ref(len(nodes) - 1), 2.0)))
        nodes.append(Node(f"sum.{n}", "aten.sum.dim_IntList", (Ref(len(nodes) - 1), None, False)))
        last = len(nodes) - 1
        if total >= 0:
            nodes.append(Node(f"add.{n}", "aten.add.Tensor", (Ref(total), Ref(last))))
        total = len(nodes) - 1
    return Program(tuple(nodes), total)


def penalised(problem: Problem, names: Iterable[str], mu: Fraction) -> Problem:
    """J + mu / 2 times the sum of squares of some blocks."""
    ridge = Term(squares(names, problem.blocks), {}, mu / 2)
    return Problem((*problem.terms, ridge), problem.blocks)


def exponentials(problem: Problem, names: Iterable[str]) -> Problem:
    """The problem as a function of the logarithms of some blocks, which are called ``log`` and the block's name."""
    logged = set(names)

    def edit(program: Program) -> Program:
        nodes: list[Node] = []
        new: dict[int, int] = {}
        for i, node in enumerate(program.nodes):
            if node.op == "block" and node.args[0] in logged:
                name = f"log {node.args[0]}"
                nodes.append(Node(name, "block", (name,)))
                node = Node(f"exp {node.name}", "aten.exp.default", (Ref(len(nodes) - 1),))
                new[i] = len(nodes)
                nodes.append(node)
                continue
            new[i] = len(nodes)
            nodes.append(node._replace(args=_rename(node.args, new)))
        return Program(tuple(nodes), new[program.output])

    done: dict[int, Program] = {}
    terms = tuple(
        with_program(
            t, done[id(t.program)] if id(t.program) in done else done.setdefault(id(t.program), edit(t.program))
        )
        for t in problem.terms
    )
    return Problem(terms, {f"log {n}" if n in logged else n: s for n, s in problem.blocks.items()})
