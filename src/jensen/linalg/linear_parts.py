"""The gradient of a program as a plain function of tensors, whole or cut at the model's output.

The cost is Phi(m(theta), theta): m the model, Phi the loss and the penalty. With theta taken twice, once moving (a) and
once held (b), the derivative of one function in a is the wanted matrix (Schraudolph 2002):

    hessian         grad Phi(m(a), a)
    gauss-newton    J_m(b)' grad_z Phi(m(a), b)                          gives J' H_Phi J
    residual        J_m(a)' grad_z Phi(m(b), b) + grad_theta Phi(m(b), a)    the network's part, and the penalty's
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jensen.kernel.program import Node, Program, Ref, fill, refs, renamed
from jensen.linalg.torch_reading import function

PARTS = ("hessian", "gauss-newton", "residual")


@dataclass(frozen=True)
class Layout:
    """What the flat list of inputs means: asked blocks (twice for a part), other blocks, constants."""

    asked: tuple[str, ...]
    others: tuple[str, ...]
    consts: tuple[str, ...]
    twins: bool

    def inputs(self, theta: Mapping[str, Tensor], consts: Mapping[str, Tensor]) -> list[Tensor]:
        """The tensors in their order."""
        asked = [theta[n] for n in self.asked]
        return [
            *asked,
            *(asked if self.twins else ()),
            *(theta[n] for n in self.others),
            *(consts[n] for n in self.consts),
        ]

    def read(self, inputs: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Moving blocks; all blocks held; constants."""
        k = len(self.asked)
        rest = 2 * k if self.twins else k
        others = dict(zip(self.others, inputs[rest:], strict=False))
        held = dict(zip(self.asked, inputs[rest - k : rest], strict=True)) | others
        consts = dict(zip(self.consts, inputs[rest + len(self.others) :], strict=True))
        return dict(zip(self.asked, inputs[:k], strict=True)), held, consts


def gradient(program: Program, layout: Layout, part: str, inside: frozenset[int]) -> Callable[..., list[Tensor]]:
    """``f(*inputs) -> [value, one gradient for each asked block]`` whose derivative in the moving blocks is the part."""
    if part == "hessian":
        return _whole(program, layout)
    cut = [i for i in sorted(inside) if i == program.output or _used_outside(program, i, inside)]

    def f(*inputs: Tensor) -> list[Tensor]:
        moving, held, consts = layout.read(inputs)
        held_asked = {n: held[n] for n in layout.asked}
        a, b = (moving, held_asked) if part == "gauss-newton" else (held_asked, moving)
        z = _outputs(program, inside, cut, {**held, **a}, consts)
        smooth = [i for i in cut if z[i].is_floating_point()]

        def outer(values: list[Tensor], direct: dict[str, Tensor]) -> Tensor:
            return _total(program, inside, {**z, **dict(zip(smooth, values, strict=True))}, {**held, **direct}, consts)

        def model(theta: dict[str, Tensor]) -> list[Tensor]:
            out = _outputs(program, inside, cut, {**held, **theta}, consts)
            return [out[i] for i in smooth]

        (pull_z, pull_direct), value = torch.func.grad_and_value(outer, argnums=(0, 1))(
            [z[i] for i in smooth], moving if part == "residual" else held_asked
        )
        grads = torch.func.vjp(model, b)[1](pull_z)[0]
        return [value, *(grads[n] + pull_direct[n] for n in layout.asked)]

    return f


def _whole(program: Program, layout: Layout) -> Callable[..., list[Tensor]]:
    def f(*inputs: Tensor) -> list[Tensor]:
        moving, held, consts = layout.read(inputs)

        def value(theta: dict[str, Tensor]) -> Tensor:
            return _total(program, frozenset(), {}, {**held, **theta}, consts)

        grads, out = torch.func.grad_and_value(value)(moving)
        return [out, *(grads[n] for n in layout.asked)]

    return f


def handed(program: Program, roles: Sequence[str]) -> tuple[Program, list[str]]:
    """The same program with a node of the model's for every block that it hands to the loss as it is (a learned scale, say):
    blocks themselves belong to no part, and a penalty may read them too."""
    given = {j for i, n in enumerate(program.nodes) if roles[i] == "loss" for j in refs(n.args)}
    given = {j for j in given if program.nodes[j].op == "block"}
    nodes, where = list[Node](), list[str]()
    new, copies = dict[int, int](), dict[int, int]()
    for i, node in enumerate(program.nodes):
        new[i] = len(nodes)
        nodes.append(node._replace(args=renamed(node.args, new | copies if roles[i] == "loss" else new)))
        where.append(roles[i])
        if i in given:
            copies[i] = len(nodes)
            nodes.append(Node(node.name, "aten.alias.default", (Ref(new[i]),)))
            where.append("model")
    return Program(tuple(nodes), new[program.output]), where


def model_nodes(program: Program, roles: Sequence[str]) -> frozenset[int]:
    """Nodes that the model computes, by their roles, and what these need."""
    inside: set[int] = set()
    for i in range(len(program.nodes) - 1, -1, -1):
        node = program.nodes[i]
        if node.op in ("block", "const"):
            continue
        if i in inside or roles[i] == "model":
            inside.add(i)
            inside.update(j for j in refs(node.args) if program.nodes[j].op not in ("block", "const"))
    return frozenset(inside)


def _used_outside(program: Program, i: int, inside: frozenset[int]) -> bool:
    return any(i in refs(n.args) for k, n in enumerate(program.nodes) if k not in inside)


def _outputs(program: Program, inside: frozenset[int], cut: list[int], theta: Any, consts: Any) -> dict[int, Any]:
    values = _compute(program, dict.fromkeys(inside), {}, theta, consts)
    return {i: values[i] for i in cut}


def _total(program: Program, inside: frozenset[int], z: dict[int, Any], theta: Any, consts: Any) -> Tensor:
    which = {i: None for i in range(len(program.nodes)) if i not in inside}
    return _compute(program, which, z, theta, consts)[program.output].reshape(())


def _compute(program: Program, which: dict[int, None], given: dict[int, Any], theta: Any, consts: Any) -> list[Any]:
    values: list[Any] = [None] * len(program.nodes)
    for i, node in enumerate(program.nodes):
        if node.op == "block":
            values[i] = theta[node.args[0]]
        elif node.op == "const":
            values[i] = consts[node.args[0]]
        elif i in given:
            values[i] = given[i]
        elif i in which:
            values[i] = WITHOUT_WRITES.get(node.op, function(node.op))(*fill(node.args, values))
    return values


def _pad(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """torch pads circularly by writing into slices; here by an index along each axis."""
    if mode != "circular":
        return torch.nn.functional.pad(x, list(pad), mode, value)
    for k in range(len(pad) // 2):
        size = x.shape[-1 - k]
        index = torch.arange(-pad[2 * k], size + pad[2 * k + 1], device=x.device) % size
        x = x.index_select(-1 - k, index)
    return x


WITHOUT_WRITES: dict[str, Callable[..., Any]] = {"aten.pad.default": _pad}
