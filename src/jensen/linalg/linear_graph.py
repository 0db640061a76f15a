"""The gradient as a graph of torch operations without side effects, and what is done to such graphs.

torch.func.linearize is not used: it folds constants of a graph with writes in place and is silently wrong there. Here
the gradient is functionalised when it is traced, and a graph that still writes in place is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._decomp import get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from jensen.ambient import alone
from jensen.errors import Misuse
from jensen.linalg.linear_record import Table, Writes, record
from jensen.linalg.linear_smooth import OWN

aten = torch.ops.aten

DECOMPOSED = (
    "tanh_backward", "sigmoid_backward", "gelu_backward", "silu", "silu_backward", "elu", "elu_backward",
    "softplus", "softplus_backward", "threshold_backward", "hardtanh", "hardtanh_backward", "leaky_relu",
    "leaky_relu_backward", "hardswish", "hardswish_backward", "hardsigmoid", "hardsigmoid_backward", "mish",
    "mish_backward", "log_sigmoid_forward", "log_sigmoid_backward", "logit_backward", "softshrink_backward",
    "hardshrink_backward", "_softmax_backward_data", "_log_softmax_backward_data", "nll_loss_forward",
    "nll_loss_backward", "nll_loss2d_forward", "nll_loss2d_backward", "mse_loss", "mse_loss_backward", "huber_loss",
    "huber_loss_backward", "smooth_l1_loss", "smooth_l1_loss_backward", "glu", "glu_backward", "addcdiv",
    "native_layer_norm", "native_layer_norm_backward", "native_group_norm", "native_group_norm_backward",
    "native_batch_norm", "native_batch_norm_backward", "_fused_rms_norm", "_fused_rms_norm_backward",
    "linear_backward", "baddbmm_backward", "std_mean", "var_mean", "std", "lerp", "rrelu_with_noise_backward",
    "l1_loss", "soft_margin_loss", "soft_margin_loss_backward", "binary_cross_entropy", "binary_cross_entropy_backward",
    "xlogy", "_prelu_kernel", "_prelu_kernel_backward", "celu", "selu", "relu6", "norm", "dist", "rsub", "square",
)  # fmt: skip


def decompositions() -> dict[Any, Callable[..., Any]]:
    """What is taken apart before it is differentiated forward: sums of products, whose scales can be merged."""
    packets = [getattr(aten, name) for name in DECOMPOSED if hasattr(aten, name)]
    return get_decompositions(packets) | OWN


@alone()
def trace(f: Callable[..., Any], args: Sequence[Any], mode: str) -> fx.GraphModule:
    """A function of tensors as a functional graph with merged equal operations; by a shorter way where it is plain.

    Raises:
        Misuse: Where operations remain that write in place, or read memory by its strides, or have no derivative.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = decompositions()
        found = _recorded(f, args, table) if mode == "fake" else None
        if found is None:
            module = make_fx(f, table, mode)(*args)  # pyright: ignore[reportArgumentType]
            if any(_unsafe(n) for n in module.graph.nodes):
                module = make_fx(torch.func.functionalize(f, remove="mutations"), table, mode)(*args)  # pyright: ignore[reportArgumentType]
            found = module, module.graph
    clean(found[1])
    return fx.GraphModule(*found)


def _recorded(f: Callable[..., Any], args: Sequence[Any], table: Table) -> tuple[nn.Module, fx.Graph] | None:
    try:
        try:
            found = record(f, args, table)
        except Writes:
            found = record(torch.func.functionalize(f, remove="mutations"), args, table)
        return None if any(_unsafe(n) for n in found[1].nodes) else found
    except Exception:  # whatever it is, make_fx finds out, or does it
        return None


def _unsafe(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None) if node.op == "call_function" else None
    return schema is not None and (schema.is_mutable or "as_strided" in schema.name)


def known(graph: fx.Graph) -> None:
    """Refuse operations outside aten: torch differentiates its own primitives (prims.hypot) to zeros without a word."""
    for node in graph.nodes:
        space = getattr(node.target, "namespace", "aten")
        if node.op == "call_function" and space != "aten":
            raise Misuse(
                f"{node.target} has no derivative that could be trusted: the map cannot be kept; use mode='reverse'"
            )


def clean(graph: fx.Graph) -> None:
    """Merge equal operations, drop what nobody needs, and refuse writes in place."""
    graph.eliminate_dead_code()
    reshape(graph)
    for node in graph.nodes:
        if _unsafe(node):
            raise Misuse(f"{node.target} depends on how memory is laid out: the map cannot be kept; use mode='reverse'")
    merge(graph)
    graph.eliminate_dead_code()


FUNCTIONAL = {
    aten.squeeze_.default: aten.squeeze.default, aten.squeeze_.dim: aten.squeeze.dim,
    aten.squeeze_.dims: aten.squeeze.dims, aten.unsqueeze_.default: aten.unsqueeze.default,
    aten.t_.default: aten.t.default, aten.transpose_.default: aten.transpose.int,
    aten.view.default: aten.reshape.default, aten._unsafe_view.default: aten.reshape.default,
}  # fmt: skip


def reshape(graph: fx.Graph) -> None:
    """Views as reshapes, for kernels whose strides are not those that were traced; no metadata changed in place."""
    for node in graph.nodes:
        if node.target not in FUNCTIONAL:
            continue
        schema = node.target._schema
        node.target = FUNCTIONAL[node.target]
        if schema.is_mutable:
            node.args[0].replace_all_uses_with(node, delete_user_cb=lambda user, node=node: _after(graph, user, node))


def _after(graph: fx.Graph, user: fx.Node, node: fx.Node) -> bool:
    return user is not node and node < user


def merge(graph: fx.Graph) -> None:
    """Equal operations on equal arguments once; transposes of transposes and empty views not at all."""
    seen: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        same = _undone(node)
        if same is None:
            key = (node.target, _key(node.args), _key(sorted(node.kwargs.items())))
            same = seen.setdefault(key, node)
        if same is not node:
            node.replace_all_uses_with(same)
            graph.erase_node(node)


def _undone(node: fx.Node) -> fx.Node | None:
    """t(t(x)) is x; so is x detached, aliased, multiplied by one, or brought to the shape that it has."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node):
        return None
    if node.target in IDENTITIES and IDENTITIES[node.target](node) and _alike(node, source):
        return source
    if node.target in (aten.detach.default, aten.alias.default, aten.lift_fresh_copy.default):
        return source
    if node.target is aten.t.default and source.target is aten.t.default:
        return source.args[0]  # type: ignore[return-value]
    return None


IDENTITIES: dict[Any, Callable[[fx.Node], bool]] = {
    aten.mul.Scalar: lambda node: node.args[1] in (1, 1.0),
    aten.mul.Tensor: lambda node: node.args[1] in (1, 1.0),
    aten.reshape.default: lambda node: True,
    aten.expand.default: lambda node: True,
}


def _alike(node: fx.Node, source: fx.Node) -> bool:
    """Whether both have one shape and type."""
    a, b = node.meta.get("val"), source.meta.get("val")
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and a.dtype == b.dtype


def _key(a: Any) -> Any:
    if isinstance(a, (list, tuple)):
        return (type(a), *(_key(x) for x in a))
    if isinstance(a, slice):
        return (slice, a.start, a.stop, a.step)
    return a if isinstance(a, fx.Node) else (type(a), repr(a))
