"""Operations replaced by their linearisation at a point, with constants computed there in float64 (torch's readings).

At the point the new operation has the old value and the old derivative (torch's subgradient at kinks); everywhere else
it is the tangent. No Jacobian is formed: an elementwise function has a slope for each element, a reduction one for each
element that it reads, a softmax its closed form, a maximum the place of its winner. What is none of these is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.atoms import registry
from jensen.kernel.program import Node, Program, Ref, Term, fill, refs
from jensen.linalg.jets_kinds import ADDEND, PRODUCTS, UNARY, linear
from jensen.linalg.torch_reading import function, run_all
from jensen.surgery import Editor, rewrite

Theta = Mapping[str, Tensor]

ELEMENTWISE = frozenset(
    "aten." + name
    for name in (
        "div.Tensor", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "maximum.default", "minimum.default",
        "atan2.default", "hypot.default", "logaddexp.default", "logaddexp2.default", "xlogy.Tensor",
        "special_xlog1py.default",
    )
) | UNARY | {"jensen.rel_entr", "jensen.positive_rel_entr"}  # fmt: skip

# Reductions in which every element is read once -> which argument holds the axes, and which says that they are kept.
REDUCTIONS = {
    "aten.amax.default": (1, 2), "aten.amin.default": (1, 2), "aten.logsumexp.default": (1, 2),
    "aten.linalg_vector_norm.default": (2, 3), "aten.prod.dim_int": (1, 2),
}  # fmt: skip
SOFTMAX = {"aten.softmax.int", "aten.log_softmax.int", "jensen.masked_softmax"}
WINDOWS = {f"aten.max_pool{n}d.default": n for n in (1, 2, 3)} | {f"jensen.adaptive_max_pool{n}d": n for n in (1, 2, 3)}


class Kept(Exception):
    """An operation stays as it is, and why."""


@dataclass
class Linearised:
    """A term after the surgery, what was replaced, and what should have been but is kept, with the reason."""

    term: Term
    replaced: list[str]
    kept: dict[str, str]
    size: int = 0  # of the new constants, in bytes


@dataclass
class Cut:
    """One operation at the point: its old arguments as values, the new ones, and which inputs depend on blocks."""

    editor: Editor
    old: Node
    node: Node
    values: Sequence[Any]
    moving: Sequence[bool]

    def inputs(self) -> list[tuple[int, Tensor, Ref]]:
        """Old index, value at the point, and new reference of every input that moves."""
        pairs = dict(zip(refs(self.old.args), refs(self.node.args), strict=True))
        return [(j, self.values[j], Ref(k)) for j, k in pairs.items() if self.moving[j]]

    def emit(self, op: str, *args: Any) -> Ref:
        return self.editor.emit(op, *args, like=self.node)

    def constant(self, what: str, value: Tensor) -> Ref:
        if not bool(torch.isfinite(value).all()):
            raise Kept("it has no finite value or slope at the point")
        return self.editor.constant(f"{self.node.name}.{what}", value.detach().numpy())

    def plus(self, value: Ref, offset: Tensor) -> Ref:
        """A value plus a constant, which is left out where it is zero."""
        if not bool((offset != 0).any()):
            return value
        return self.emit("aten.add.Tensor", value, self.constant("intercept", offset))


def values_at(program: Program, tensors: Mapping[str, np.ndarray], theta: Theta) -> list[Any]:
    """Every node's value at a point, in float64."""
    with torch.no_grad():
        return run_all(program, tensors, theta)


def moving(program: Program) -> list[bool]:
    """Which nodes depend on blocks."""
    out: list[bool] = []
    for node in program.nodes:
        out.append(node.op == "block" or any(out[j] for j in refs(node.args)))
    return out


def linearise(term: Term, theta: Theta, chosen: Callable[[int], bool]) -> Linearised:
    """A term with the chosen operations replaced by their linearisation at a point.

    Args:
        term: One term of a cost.
        theta: Values of all its blocks, float64.
        chosen: Which nodes, by index; linear ones are left alone.
    """
    values, moves = values_at(term.program, term.tensors, theta), moving(term.program)
    done = Linearised(term, [], {})

    def change(editor: Editor, i: int, node: Node) -> Ref | None:
        old = term.program.nodes[i]
        if not moves[i] or old.op == "block" or not chosen(i) or linear(old, lambda j: moves[j]):
            return None
        before, constants = len(editor.nodes), set(editor.tensors)
        try:
            found = _tangent(Cut(editor, old, node, values, moves), values[i])
        except Kept as e:
            del editor.nodes[before:]
            editor.tensors = {n: v for n, v in editor.tensors.items() if n in constants}
            done.kept[node.name] = str(e)
            return None
        done.replaced.append(node.name)
        return found

    done.term = rewrite(term, change)
    done.size = sum(done.term.tensors[n].nbytes for n in done.term.tensors if n not in term.tensors)
    return done


def _tangent(cut: Cut, value: Any) -> Ref:
    op = cut.old.op
    if any(v.is_complex() for v in (value, *_tensors(cut)) if isinstance(v, Tensor)):
        raise Kept("complex values have no linearisation here")
    if isinstance(value, Tensor) and not value.is_floating_point():
        return cut.constant("value", value)
    if op in PRODUCTS:
        return _product(cut)
    if op in ELEMENTWISE or getattr(registry().get(op), "row", None) is not None:
        return _elementwise(cut)
    if op in REDUCTIONS:
        return _reduction(cut)
    if op in SOFTMAX:
        return _softmax(cut, value)
    return _selection(cut)


def _product(cut: Cut) -> Ref:
    """f(x, y0) + f(x0, y) - f(x0, y0); what is added to a product stays where it was."""
    (i, j), (x, y) = ([a.index for a in args[:2]] for args in (cut.old.args, cut.node.args))
    rest = cut.node.args[2:]
    bare = (None, *rest[1:]) if cut.old.op in ADDEND and rest else rest
    x0, y0 = cut.values[i], cut.values[j]
    first = cut.emit(cut.old.op, Ref(x), cut.constant("right", y0), *rest)
    second = cut.emit(cut.old.op, cut.constant("left", x0), Ref(y), *bare)
    both = cut.emit("aten.add.Tensor", first, second)
    return cut.plus(both, -function(cut.old.op)(x0, y0, *bare))


def _slopes(cut: Cut, spread: bool) -> tuple[list[Tensor], Tensor]:
    """The derivative of the sum of the results in each moving input (in the result's shape if spread), and the results."""
    inputs = cut.inputs()
    shape = torch.broadcast_shapes(*(v.shape for v in _tensors(cut))) if spread else None
    with torch.enable_grad():
        leaves = {j: (v.expand(shape) if shape is not None else v).clone().requires_grad_() for j, v, _ in inputs}
        at = {j: leaves.get(j, cut.values[j]) for j in refs(cut.old.args)}
        out = function(cut.old.op)(*fill(cut.old.args, at))
        flat = list(leaves.values())
        found = torch.autograd.grad(out.sum(), flat, allow_unused=True) if out.requires_grad else [None] * len(flat)
    slopes = [torch.zeros_like(v) if g is None else g for g, v in zip(found, flat, strict=True)]
    return slopes, out.detach()


def _tensors(cut: Cut) -> list[Tensor]:
    return [cut.values[j] for j in refs(cut.old.args) if isinstance(cut.values[j], Tensor)]


def _elementwise(cut: Cut) -> Ref:
    slopes, out = _slopes(cut, spread=True)
    total: Ref | None = None
    for g, (_, x, ref) in zip(slopes, cut.inputs(), strict=True):
        line = cut.emit("aten.mul.Tensor", ref, cut.constant("slope", g))
        total = line if total is None else cut.emit("aten.add.Tensor", total, line)
        out = out - g * x
    if total is None:
        raise Kept("none of its inputs depends on a block")
    return cut.plus(total, out)


def _reduction(cut: Cut) -> Ref:
    where, kept = REDUCTIONS[cut.old.op]
    args = cut.old.args
    dims = args[where] if len(args) > where else None
    dims = (dims,) if isinstance(dims, int) else dims or None
    keepdim = bool(args[kept]) if len(args) > kept else False
    (slope,), out = _slopes(cut, spread=False)
    ((_, x, ref),) = cut.inputs()
    line = cut.emit("aten.mul.Tensor", ref, cut.constant("slope", slope))
    line = cut.emit("aten.sum.dim_IntList", line, dims, keepdim)
    axes = tuple(range(x.dim())) if dims is None else dims
    return cut.plus(line, out - (slope * x).sum(axes, keepdim=keepdim))


def _softmax(cut: Cut, y: Tensor) -> Ref:
    """With p the softmax and u = p x: u - p sum(u) for softmax, x - sum(u) for its logarithm."""
    dim = cut.old.args[-1]
    if len(cut.inputs()) != 1 or dim is None:
        raise Kept("its mask depends on a block")
    ((_, x, ref),) = cut.inputs()
    log = cut.old.op == "aten.log_softmax.int"
    p = torch.exp(y) if log else y
    slope = cut.constant("softmax", p)
    weighed = cut.emit("aten.mul.Tensor", ref, slope)
    total = cut.emit("aten.sum.dim_IntList", weighed, (dim,), True)
    mean = (p * x).sum(dim, keepdim=True)
    if log:
        return cut.plus(cut.emit("aten.sub.Tensor", ref, total), y - x + mean)
    line = cut.emit("aten.sub.Tensor", weighed, cut.emit("aten.mul.Tensor", total, slope))
    return cut.plus(line, y - p * (x - mean))


def _selection(cut: Cut) -> Ref:
    """Operations that pick elements: the same elements, wherever the input goes."""
    if len(cut.inputs()) != 1:
        raise Kept(f"{cut.old.op} has no linearisation here")
    ((_, x, ref),) = cut.inputs()
    args = fill(cut.old.args, cut.values)
    if cut.old.op in WINDOWS:
        return _window(cut, x, ref, args)
    dim, index = _places(cut.old.op, x, args)
    return cut.emit("aten.gather.default", ref, dim, cut.constant("places", index))


def _places(op: str, x: Tensor, args: list[Any]) -> tuple[int, Tensor]:
    if op == "jensen.sorted":
        _, k, dim, largest = args
        return dim, torch.topk(x, k, dim, largest).indices
    if op in ("jensen.cummax", "jensen.cummin"):
        return args[1], (torch.cummax if op == "jensen.cummax" else torch.cummin)(x, args[1]).indices
    raise Kept(f"{op} has no linearisation here")


def _window(cut: Cut, x: Tensor, ref: Ref, args: list[Any]) -> Ref:
    n = WINDOWS[cut.old.op]
    name = f"adaptive_max_pool{n}d" if "adaptive" in cut.old.op else f"max_pool{n}d"
    out, index = getattr(torch.nn.functional, name + "_with_indices")(*_pooling(name, args))
    lead = tuple(x.shape[: x.dim() - n])
    flat = cut.emit("aten.view.default", ref, (*lead, int(np.prod(x.shape[x.dim() - n :]))))
    places = cut.constant("places", index.reshape((*lead, -1)))
    picked = cut.emit("aten.gather.default", flat, len(lead), places)
    return cut.emit("aten.view.default", picked, tuple(int(k) for k in out.shape))


def _pooling(name: str, args: list[Any]) -> list[Any]:
    """Arguments as the functions that also tell the places take them: no stride is None, not an empty list."""
    if name.startswith("adaptive") or len(args) < 3:
        return args
    return [*args[:2], args[2] or None, *args[3:]]
