"""The surgery behind the mechanisms: a cost without its penalty, its blocks one at a time, its units in order.

What is said afterwards is said of the new problem: its certificates hold its own program and constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jensen.kernel.program import Node, Problem, Program, Ref, Term
from jensen.surgery import Arrays, Editor, fixed, joined, rewrite, with_output

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


def apart(problem: Problem, theta: Arrays) -> Problem:
    """The sum over the blocks of the cost as a function of that block alone, the others fixed: no products between them.

    Args:
        problem: The cost; its blocks are those that move.
        theta: Values of all blocks that its programs read.
    """
    terms = []
    for name in problem.blocks:
        rest = {n: v for n, v in theta.items() if n != name}
        terms += [fixed(t, rest) for t in problem.terms if name in t.program.leaves("block")]
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
