"""Surgery on programs: nodes replaced, constants added, blocks fixed, what nothing reads cut away.

Every function gives something new and leaves the old alone; constants of streamed data are still read when they are asked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jensen.kernel.program import Node, Problem, Program, Ref, Term, refs, renamed

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Overlay(Mapping[str, np.ndarray]):
    """Some constants of a term, read where the term reads them, and new ones."""

    old: Arrays
    new: Arrays
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        return self.new[name] if name in self.new else self.old[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def streamed(self) -> bool:
        """Whether one chunk at a time is in memory."""
        return getattr(self.old, "streamed", False)


class Editor:
    """A term being written anew: its nodes, and constants besides those of the old term."""

    def __init__(self, taken: Sequence[str]):
        self.nodes: list[Node] = []
        self.taken = frozenset(taken)
        self.tensors: dict[str, np.ndarray] = {}

    def emit(self, op: str, *args: Any, like: Node) -> Ref:
        """One operation, at the place of an old one."""
        self.nodes.append(Node(like.name, op, args, like.module))
        return Ref(len(self.nodes) - 1)

    def constant(self, name: str, value: np.ndarray) -> Ref:
        """A new constant; its name is made distinct."""
        key, k = name, 1
        while key in self.tensors or key in self.taken:
            k += 1
            key = f"{name} {k}"
        self.tensors[key] = np.asarray(value)
        self.nodes.append(Node(key, "const", (key,)))
        return Ref(len(self.nodes) - 1)


# (editor, index of the old node, the old node with its arguments in the new program) -> its new value, None to keep it
Replace = Callable[[Editor, int, Node], "Ref | None"]


def rewrite(term: Term, change: Replace) -> Term:
    """A term with some operations replaced; blocks stay inputs of the program even where nothing reads them any more."""
    editor = Editor(tuple(term.tensors))
    new: dict[int, int] = {}
    for i in needed(term.program):
        old = term.program.nodes[i]
        node = old._replace(args=renamed(old.args, new))
        found = change(editor, i, node)
        if found is None:
            editor.nodes.append(node)
            found = Ref(len(editor.nodes) - 1)
        new[i] = found.index
    return with_program(term, pruned(Program(tuple(editor.nodes), new[term.program.output])), editor.tensors)


def with_program(term: Term, program: Program, extra: Arrays | None = None) -> Term:
    """A term with another program, those of its constants that this reads, and new ones."""
    tensors = Overlay(term.tensors, extra or {}, tuple(program.leaves("const")))
    return replace(term, program=program, tensors=tensors, data=term.data & frozenset(tensors))


def needed(program: Program, blocks: bool = True) -> list[int]:
    """The nodes that the output reads, and every block (those that nothing reads too) unless told otherwise, in order."""
    todo = [program.output, *(i for i, n in enumerate(program.nodes) if blocks and n.op == "block")]
    seen = set(todo)
    while todo:
        for j in refs(program.nodes[todo.pop()].args):
            if j not in seen:
                seen.add(j)
                todo.append(j)
    return sorted(seen)


def pruned(program: Program, blocks: bool = True) -> Program:
    """A program without the nodes that nothing reads; blocks stay unless told otherwise."""
    order = needed(program, blocks)
    new = {i: k for k, i in enumerate(order)}
    nodes = tuple(program.nodes[i]._replace(args=renamed(program.nodes[i].args, new)) for i in order)
    return Program(nodes, new[program.output])


def trimmed(term: Term) -> Term:
    """A term without the operations and constants that its output does not need; blocks stay."""
    return with_program(term, pruned(term.program))


def joined(terms: Sequence[Term], blocks: Mapping[str, tuple[int, ...]]) -> Problem:
    """Terms as one problem; equal programs become one, so that the kernel links them once."""
    programs: list[Program] = []
    out = []
    for term in terms:
        same = next((p for p in programs if p == term.program), term.program)
        if same is term.program:
            programs.append(same)
        out.append(replace(term, program=same))
    return Problem(tuple(out), dict(blocks))


def with_output(term: Term, output: int) -> Term:
    """The same operations with another of them as the output; nothing is pruned, so that indices stay."""
    return replace(term, program=Program(term.program.nodes, output))


def fixed(term: Term, values: Arrays) -> Term:
    """A term with some blocks fixed at values."""

    def change(editor: Editor, i: int, node: Node) -> Ref | None:
        if node.op != "block" or node.args[0] not in values:
            return None
        return editor.constant(f"fixed.{node.args[0]}", values[node.args[0]])

    return rewrite(term, change)
