"""From torch.export's graph to the normal form: one name for each meaning, no bookkeeping operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from jensen.constants import Sources
from jensen.kernel.program import Node, Ref
from jensen.normal_functions import FUNCTIONS
from jensen.normal_integers import spelled
from jensen.normal_tensors import RULES

aten = torch.ops.aten
Out = Any

ROLES = ("model", "loss", "penalty")


class Builder:
    """Collects nodes; ``value`` maps an fx node to a reference, a number or a tuple of these."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.roles: list[str] = []  # which part of the cost each node belongs to
        self.value: dict[fx.Node, Any] = {}
        self.shape: dict[int, tuple[int, ...]] = {}
        self.bounds: dict[fx.Node, tuple[int, int]] = {}  # between which numbers integers lie
        self.current: fx.Node | None = None
        self.sources = Sources()

    def emit(self, op: str, *args: Any, name: str | None = None, module: str = "") -> Ref:
        """Add one operation."""
        node = self.current
        base = name or (node.name if node is not None else op)
        self.nodes.append(Node(base, op, tuple(freeze(a) for a in args), module or module_of(node)))
        self.roles.append(role_of(node))
        return Ref(len(self.nodes) - 1)

    def leaf(self, node: fx.Node, name: str, f: Callable[[Any], Any] | None = None) -> Ref:
        """A constant of the program: an exact constant of the graph, or a function of one."""
        current, self.current = self.current, None
        fresh = name not in self.sources.wanted
        self.sources.wanted[name] = (node, f)
        ref = self.emit("const", name, name=name, module=" ")
        self.current = current
        if fresh and f is None:
            self.sources.nodes[ref.index] = node
        return ref


def freeze(a: Any) -> Any:
    """Lists as tuples."""
    return tuple(freeze(x) for x in a) if isinstance(a, (list, tuple)) and not isinstance(a, Ref) else a


def module_of(node: fx.Node | None) -> str:
    """The path of the module that a node came from."""
    return _path(node).removeprefix("model.")


def role_of(node: fx.Node | None) -> str:
    """One of "model", "loss" and "penalty"; nothing for leaves, for what joins the parts, and for costs that are functions."""
    head = _path(node).split(".")[0]
    return head if head in ROLES else ""


def _path(node: fx.Node | None) -> str:
    stack = node.meta.get("nn_module_stack") if node is not None else None
    path = list(stack.values())[-1][0] if stack else ""
    return path.removeprefix("L['self'].") if isinstance(path, str) else ""


def shape_of(node: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in node.meta["val"].shape)


def _identity(b: Builder, x: Any, *rest: Any, **kw: Any) -> Any:
    return x


IDENTITIES = [
    aten.clone.default, aten.contiguous.default, aten.detach.default, aten.alias.default, aten.lift_fresh_copy.default,
    aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default, aten.feature_alpha_dropout.default,
    aten.positive.default,
    aten.resolve_conj.default, aten.resolve_neg.default, aten.detach_.default,
]  # fmt: skip


def _cast(b: Builder, x: Any, *rest: Any, **kw: Any) -> Any:
    """Casts between float types are the identity; booleans become 0 and 1; what drops digits has no model, and casts of
    integers that change them do not come here."""
    node: Any = b.current
    source, target = node.args[0].meta["val"].dtype, node.meta["val"].dtype
    if source == target or (source.is_floating_point and target.is_floating_point):
        return x
    if target.is_complex or (source.is_floating_point and not target.is_floating_point):
        return b.emit("jensen.cast", x, str(target).removeprefix("torch."))
    return b.emit("jensen.real", x) if target.is_floating_point or source == torch.bool else x


def _add(sign: int) -> Callable[..., Any]:
    op = "aten.add.Tensor" if sign > 0 else "aten.sub.Tensor"

    def rule(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Any:
        return b.emit(op, x, y if alpha == 1 else b.emit("aten.mul.Tensor", y, float(alpha)))

    return rule


def _rsub(b: Builder, x: Any, y: Any, alpha: Any = 1) -> Any:
    return b.emit("aten.sub.Tensor", y, x if alpha == 1 else b.emit("aten.mul.Tensor", x, float(alpha)))


def _view(b: Builder, x: Any, *rest: Any, **kw: Any) -> Any:
    return b.emit("aten.view.default", x, shape_of(b.current))


def _power(p: float) -> Callable[..., Any]:
    return lambda b, x: b.emit("aten.pow.Tensor_Scalar", x, p)


def _split(b: Builder, x: Any, sizes: Any, dim: int = 0) -> Any:
    out, start = [], 0
    assert_list = b.current.meta["val"] if b.current is not None else []
    for part in assert_list:
        stop = start + int(part.shape[dim])
        out.append(b.emit("aten.slice.Tensor", x, dim, start, stop, 1))
        start = stop
    return tuple(out)


def _unbind(b: Builder, x: Any, dim: int = 0) -> Any:
    n = len(b.current.meta["val"]) if b.current is not None else 0
    return tuple(b.emit("aten.select.int", x, dim, i) for i in range(n))


def _addmm(b: Builder, c: Any, x: Any, y: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    product = b.emit("aten.matmul.default", x, y)
    product = product if alpha == 1 else b.emit("aten.mul.Tensor", product, float(alpha))
    return b.emit("aten.add.Tensor", product, c if beta == 1 else b.emit("aten.mul.Tensor", c, float(beta)))


def _renamed(op: str, n: int | None = None) -> Callable[..., Any]:
    return lambda b, *args, **kw: b.emit(op, *args[:n])


def _all_axes(op: str) -> Callable[..., Any]:
    return lambda b, x, **kw: b.emit(op, x, None, False)


def _reduction(op: str) -> Callable[..., Any]:
    return lambda b, x, dims=None, keepdim=False, **kw: b.emit(op, x, dims, keepdim)


NORMAL: dict[Any, Callable[..., Any]] = dict.fromkeys(IDENTITIES, _identity)
NORMAL |= dict.fromkeys((aten._to_copy.default, aten.to.dtype, aten.to.dtype_layout, aten.type_as.default), _cast)
NORMAL |= {
    aten.add.Tensor: _add(1), aten.add.Scalar: _add(1), aten.sub.Tensor: _add(-1), aten.sub.Scalar: _add(-1),
    aten.rsub.Scalar: _rsub, aten.rsub.Tensor: _rsub,
    aten.mul.Scalar: _renamed("aten.mul.Tensor", 2), aten.div.Scalar: _renamed("aten.div.Tensor", 2),
    aten.view.default: _view, aten.reshape.default: _view, aten._unsafe_view.default: _view, aten.flatten.using_ints: _view,
    aten.unflatten.int: _view, aten.view_as.default: _view, aten.ravel.default: _view,
    aten.sqrt.default: _power(0.5), aten.square.default: _power(2.0), aten.reciprocal.default: _power(-1.0),
    aten.rsqrt.default: _power(-0.5),
    aten.pow.Tensor_Scalar: lambda b, x, p: b.emit("aten.pow.Tensor_Scalar", x, float(p)),
    aten.mm.default: _renamed("aten.matmul.default", 2), aten.bmm.default: _renamed("aten.matmul.default", 2),
    aten.mv.default: _renamed("aten.matmul.default", 2), aten.dot.default: _renamed("aten.matmul.default", 2),
    aten.matmul.default: _renamed("aten.matmul.default", 2), aten.addmm.default: _addmm,
    aten.addmv.default: _addmm,
    aten.sum.default: _all_axes("aten.sum.dim_IntList"), aten.mean.default: _all_axes("aten.mean.dim"),
    aten.sum.dim_IntList: _reduction("aten.sum.dim_IntList"), aten.mean.dim: _reduction("aten.mean.dim"),
    aten.squeeze.dim: lambda b, x, dim: b.emit("aten.squeeze.dims", x, (dim,)),
    aten.squeeze.default: lambda b, x: b.emit("aten.view.default", x, shape_of(b.current)),
    aten.t.default: lambda b, x: b.emit("aten.permute.default", x, tuple(reversed(range(len(shape_of(b.current)))))),
    aten.split.Tensor: _split, aten.split_with_sizes.default: _split, aten.split.sizes: _split, aten.chunk.default: _split,
    aten.unbind.int: _unbind,
    aten.log_softmax.int: lambda b, x, dim, dtype=None: b.emit("aten.log_softmax.int", x, dim),
    aten._log_softmax.default: lambda b, x, dim, half=False: b.emit("aten.log_softmax.int", x, dim),
    aten.broadcast_tensors.default: lambda b, xs: tuple(_broadcast(b, x, i) for i, x in enumerate(xs)),
}  # fmt: skip

NORMAL |= RULES
NORMAL |= FUNCTIONS


def _broadcast(b: Builder, x: Any, i: int) -> Any:
    node: Any = b.current
    return b.emit("aten.expand.default", x, tuple(int(n) for n in node.meta["val"][i].shape))


def default(b: Builder, node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Any other operation: its schema name, and its arguments as ``spelled``."""
    target = node.target
    if getattr(target, "_schema", None) is None:
        return b.emit(f"python.{getattr(target, '__name__', target)}", *args)
    op = str(target)
    return b.emit(op.removesuffix(".default") if op.startswith("jensen.") else op, *spelled(node, args, kwargs))
