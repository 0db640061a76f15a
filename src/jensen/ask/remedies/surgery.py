"""Changes made on the program itself: fast enough to search with, before a module of the user's is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from jensen import surgery
from jensen.kernel.program import Node, Problem, Program, Ref, Term, refs, renamed
from jensen.surgery import Editor, joined, pruned, rewrite, with_program

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
        nodes.append(node._replace(op=op, args=renamed(args, new)))
    return pruned(Program(tuple(nodes), new[program.output]), blocks=False)


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
    """The problem with some blocks fixed at values; None where none is left."""
    blocks = {n: s for n, s in problem.blocks.items() if n not in values}
    return joined([surgery.fixed(t, values) for t in problem.terms], blocks) if blocks else None


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

    def change(editor: Editor, i: int, node: Node) -> Ref | None:
        if node.op != "block" or node.args[0] not in logged:
            return None
        name = f"log {node.args[0]}"
        leaf = editor.emit("block", name, like=node._replace(name=name))
        return editor.emit("aten.exp.default", leaf, like=node._replace(name=f"exp {node.name}"))

    blocks = {f"log {n}" if n in logged else n: s for n, s in problem.blocks.items()}
    return joined([rewrite(t, change) for t in problem.terms], blocks)
