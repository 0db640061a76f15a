"""Surgery on programs: a cost with an operation replaced, a part dropped, a block fixed or reparametrised.

Every function gives a new problem and leaves the old one alone. What is said afterwards is said of the new problem: its
certificates hold its own program and constants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jensen.kernel.program import Node, Problem, Program, Ref, Term, refs

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
        self.tensors[key] = np.array(value)
        self.nodes.append(Node(key, "const", (key,)))
        return Ref(len(self.nodes) - 1)


# (editor, index of the old node, the old node with its arguments in the new program) -> its new value, None to keep it
Replace = Callable[[Editor, int, Node], "Ref | None"]


def rewrite(term: Term, change: Replace) -> Term:
    """A term with some operations replaced; blocks stay inputs of the program even where nothing reads them any more."""
    editor = Editor(tuple(term.tensors))
    new: dict[int, Ref] = {}
    for i in needed(term.program):
        old = term.program.nodes[i]
        node = old._replace(args=renamed(old.args, new))
        found = change(editor, i, node)
        if found is None:
            editor.nodes.append(node)
            found = Ref(len(editor.nodes) - 1)
        new[i] = found
    program = pruned(Program(tuple(editor.nodes), new[term.program.output].index))
    tensors = Overlay(term.tensors, editor.tensors, tuple(program.leaves("const")))
    return replace(term, program=program, tensors=tensors, data=term.data & frozenset(tensors))


def renamed(args: tuple[Any, ...], new: Mapping[int, Ref]) -> tuple[Any, ...]:
    """Arguments that refer to the new nodes."""
    return tuple(new[a.index] if type(a) is Ref else renamed(a, new) if type(a) is tuple else a for a in args)


def needed(program: Program) -> list[int]:
    """The nodes that the output reads, and every block, in order."""
    todo = [program.output, *(i for i, n in enumerate(program.nodes) if n.op == "block")]
    seen = set(todo)
    while todo:
        for j in refs(program.nodes[todo.pop()].args):
            if j not in seen:
                seen.add(j)
                todo.append(j)
    return sorted(seen)


def pruned(program: Program) -> Program:
    """A program without the nodes that nothing reads."""
    order = needed(program)
    new = {i: Ref(k) for k, i in enumerate(order)}
    nodes = tuple(program.nodes[i]._replace(args=renamed(program.nodes[i].args, new)) for i in order)
    return Program(nodes, new[program.output].index)


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


# -- loss and penalty ------------------------------------------------------------------------------------------------


def parts(problem: Problem, roles: Sequence[Sequence[str]]) -> tuple[list[Term], list[Term]]:
    """The terms of the loss, and those of the penalty; indices of nodes stay as they are.

    A cost in one chunk adds the penalty inside its program, as the second argument of the last addition; one in
    several chunks has it as a term of its own.
    """
    loss: list[Term] = []
    penalty: list[Term] = []
    for term, role in zip(problem.terms, roles, strict=True):
        if "penalty" not in role:
            loss.append(term)
        elif "model" not in role and "loss" not in role:
            penalty.append(term)
        else:
            first, second = _summands(term.program)
            loss.append(with_output(term, first))
            penalty.append(with_output(term, second))
    return loss, penalty


def _summands(program: Program) -> tuple[int, int]:
    i = program.output
    while program.nodes[i].op == "aten.view.default":
        i = program.nodes[i].args[0].index
    node = program.nodes[i]
    if node.op != "aten.add.Tensor" or not all(type(a) is Ref for a in node.args):
        raise ValueError(f"the cost is no sum of a loss and a penalty: its last operation is {node.op}")
    return node.args[0].index, node.args[1].index


# -- blocks ------------------------------------------------------------------------------------------------------------


def _fixed(term: Term, values: Arrays) -> Term:
    def change(editor: Editor, i: int, node: Node) -> Ref | None:
        if node.op != "block" or node.args[0] not in values:
            return None
        return editor.constant(f"fixed.{node.args[0]}", values[node.args[0]])

    return rewrite(term, change)


def apart(problem: Problem, theta: Arrays) -> Problem:
    """The sum over the blocks of the cost as a function of that block alone, the others fixed: no products between them.

    Args:
        problem: The cost; its blocks are those that move.
        theta: Values of all blocks that its programs read.
    """
    terms = []
    for name in problem.blocks:
        rest = {n: v for n, v in theta.items() if n != name}
        terms += [_fixed(t, rest) for t in problem.terms if name in t.program.leaves("block")]
    return joined(terms, problem.blocks)


def ordered(problem: Problem, keys: Mapping[str, tuple[tuple[int, ...], int, str]]) -> Problem:
    """Blocks in terms of steps along an axis: the first entry across the other axes becomes a running sum.

    Args:
        problem: The cost.
        keys: Block -> (its shape, with axes split if need be; an axis of that; the name of the block of steps). In that
            shape, with the axis first, W[:, 0, ..., 0] = cumsum(steps[:, 0, ..., 0]) and else W = steps: linear, and one
            to one.
    """

    def change(editor: Editor, i: int, node: Node) -> Ref | None:
        if node.op != "block" or node.args[0] not in keys:
            return None
        shape, axis, name = keys[node.args[0]]
        return _summed(editor, node._replace(args=(name,)), problem.blocks[node.args[0]], shape, axis)

    blocks = {keys[n][2] if n in keys else n: shape for n, shape in problem.blocks.items()}
    return joined([rewrite(t, change) for t in problem.terms], blocks)


def _summed(editor: Editor, leaf: Node, whole: tuple[int, ...], shape: tuple[int, ...], axis: int) -> Ref:
    def emit(op: str, *args: Any) -> Ref:
        return editor.emit(f"aten.{op}", *args, like=leaf)

    steps = editor.emit("block", *leaf.args, like=leaf)
    if len(shape) == 1:
        return emit("cumsum.default", steps, 0)
    order = (axis, *(k for k in range(len(shape)) if k != axis))
    front = tuple(shape[k] for k in order)
    rest = int(np.prod(front[1:]))
    steps = emit("permute.default", emit("view.default", steps, shape), order)
    steps = emit("view.default", steps, (front[0], rest))
    first = emit("cumsum.default", emit("slice.Tensor", steps, 1, 0, 1, 1), 0)
    value = emit("cat.default", (first, emit("slice.Tensor", steps, 1, 1, rest, 1)), 1)
    value = emit("permute.default", emit("view.default", value, front), tuple(int(k) for k in np.argsort(order)))
    return emit("view.default", value, whole)
