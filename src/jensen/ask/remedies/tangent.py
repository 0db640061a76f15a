"""A network's first-order expansion in its parameters: traced once, split into what data alone gives and a linear map.

The linear map is checked against torch's own backward pass before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._decomp import core_aten_decompositions
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph import CodeGen
from torch.fx.node import map_arg
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from jensen.errors import Misuse
from jensen.parts import OneArgument
from jensen.trace import quiet

EXACT = 4096  # roundings
CHECKS = 3


def key(tensors: Any) -> tuple[Any, ...]:
    """Shapes and kinds of tensors: what a graph depends on."""
    return tuple((tuple(t.shape), t.dtype.is_floating_point) for t in tensors)


class Network:
    """The model as a function of its blocks, and the graphs of its derivative, one for each shape of the data."""

    def __init__(self, model: nn.Module, centre: dict[str, Tensor], rest: dict[str, Tensor]):
        self.model, self.centre, self.rest = model, centre, rest
        self.graphs: dict[Any, tuple[fx.GraphModule, Any]] = {}

    def value(self, called: nn.Module, theta: list[Tensor], rest: list[Tensor], x: Any) -> Any:
        """The network's output; ``called`` is the network or what torch.export makes of it."""
        named = dict(zip(self.centre, theta, strict=True))
        named |= {n: t.clone() for n, t in zip(self.rest, rest, strict=True)}  # training may write to buffers
        return torch.func.functional_call(called, {f"model.{n}": t for n, t in named.items()}, (x,))

    def at(self, x: Any) -> tuple[tuple[Tensor, ...], fx.GraphModule, Any]:
        """What is computed at the centre for x, the linear map of (move, those values), and the output's structure."""
        data, spec = pytree.tree_flatten(x)
        leaves = [*data, *self.rest.values()]
        shape = (key(data), str(spec))
        if shape not in self.graphs:
            self.graphs[shape] = self.traced(leaves, len(data), spec)
        graph, out_spec = self.graphs[shape]
        features, linear = split(graph, len(self.centre), [*self.centre.values(), *leaves])
        return features, linear, out_spec

    def traced(self, leaves: list[Any], n: int, spec: Any) -> tuple[fx.GraphModule, Any]:
        """Graph of (move, centre, n tensors of data, the rest) -> the leaves of f(centre) + Df(centre) move."""
        structure: list[Any] = []
        centre, whole = list(self.centre.values()), OneArgument(self.model)

        def f(theta: list[Tensor], flat: list[Any], called: nn.Module = whole) -> list[Tensor]:
            x = pytree.tree_unflatten(flat[:n], spec)
            out, out_spec = pytree.tree_flatten(self.value(called, theta, flat[n:], x))
            if not all(isinstance(t, Tensor) and t.is_floating_point() for t in out):
                raise Misuse("the network's output holds something other than real tensors")
            structure[:] = [out_spec]
            return out

        why = "its derivative disagrees with torch's backward pass"
        for form, derivative in ((plain, forward), (plain, twice_backward), (exported, forward)):
            try:
                with plain_attention():
                    called = form(whole, pytree.tree_unflatten(leaves[:n], spec))
                    graph = expansion(partial(f, called=called), derivative, centre, leaves)
                    if agrees(graph, lambda theta: f(theta, leaves), centre, leaves):
                        return graph, structure[0]
            except Misuse:
                raise
            except Exception as e:  # torch raises many unrelated types
                why = f"torch cannot trace its derivative: {type(e).__name__}: {' '.join(str(e).split())[:200]}"
        raise Misuse(why)


def plain(called: nn.Module, x: Any) -> nn.Module:
    """The network itself."""
    return called


def exported(called: nn.Module, x: Any) -> nn.Module:
    """The network as torch.export sees it, without what its code decides by looking at values."""
    with quiet():
        return torch.export.export(called, (x,), strict=False).module()


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention in operations that have derivatives of every kind."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def expansion(f: Callable[..., Any], derivative: Any, centre: list[Tensor], leaves: list[Any]) -> fx.GraphModule:
    """``g(*move, *centre, *leaves)``, the leaves of f + Df move, as a graph without side effects.

    Traced twice: first the function, taken apart into operations that have derivatives of every kind, then its
    derivative.
    """
    table: Any = core_aten_decompositions()
    first = make_fx(functionalize(f), table)(centre, leaves)
    graph = make_fx(functionalize(derivative(first)), table)([torch.zeros_like(t) for t in centre], centre, leaves)
    graph.graph.set_codegen(CodeGen())
    output = next(n for n in graph.graph.nodes if n.op == "output")
    output.args = (tuple(pytree.tree_leaves(output.args[0])),)
    graph.graph.eliminate_dead_code()
    if any(getattr(getattr(n.target, "_schema", None), "is_mutable", False) for n in graph.graph.nodes):
        raise Misuse("its derivative writes in place")
    graph.recompile()
    return graph


def forward(f: Callable[..., Any]) -> Callable[..., Any]:
    """The expansion by forward mode."""
    jvp: Any = torch.func.jvp

    def run(move: list[Tensor], centre: list[Tensor], leaves: list[Any]) -> list[Tensor]:
        out, tangent = jvp(lambda t: f(t, leaves), (centre,), (move,))
        return [a + b for a, b in zip(out, tangent, strict=True)]

    return run


def twice_backward(f: Callable[..., Any]) -> Callable[..., Any]:
    """The expansion by reverse mode twice, for operations without a forward formula (Christianson, 1992)."""
    vjp: Any = torch.func.vjp

    def run(move: list[Tensor], centre: list[Tensor], leaves: list[Any]) -> list[Tensor]:
        out, pull = vjp(lambda t: f(t, leaves), centre)
        _, push = vjp(lambda u: pull(u)[0], [torch.zeros_like(t) for t in out])
        (tangent,) = push(move)
        return [a + b for a, b in zip(out, tangent, strict=True)]

    return run


def agrees(graph: fx.GraphModule, f: Callable[..., Any], centre: list[Tensor], leaves: list[Any]) -> bool:
    """Whether the map is the function's first-order expansion: <u, Df v> = <Df' u, v>, the right side by torch's backward."""
    generator = torch.Generator().manual_seed(0)
    rounding = torch.finfo(centre[0].dtype).eps
    exact, tolerance = EXACT * rounding, rounding**0.5
    theta = [t.detach().clone().requires_grad_() for t in centre]
    with torch.enable_grad():
        out = f(theta)
    for _ in range(CHECKS):
        move, up = (
            [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in tensors] for tensors in (centre, out)
        )
        back = torch.autograd.grad(out, theta, up, retain_graph=True, allow_unused=True)
        right = sum((float((g * v).sum()) for g, v in zip(back, move, strict=True) if g is not None), 0.0)
        with torch.no_grad():
            base = graph(*[torch.zeros_like(t) for t in centre], *centre, *leaves)
            line = [a - b for a, b in zip(graph(*move, *centre, *leaves), base, strict=True)]
        left = sum((float((u * t).sum()) for u, t in zip(up, line, strict=True)), 0.0)
        size = sum((float((u * t).abs().sum()) for u, t in zip(up, line, strict=True)), 0.0)
        noise = exact * sum((float((u * t).abs().sum()) for u, t in zip(up, base, strict=True)), 0.0)
        same = all(torch.allclose(a, b, rtol=tolerance, atol=exact) for a, b in zip(base, out, strict=True))
        if not same or not abs(left - right) <= tolerance * size + noise:
            return False
    return True


def split(graph: fx.GraphModule, moves: int, rest: list[Any]) -> tuple[tuple[Tensor, ...], fx.GraphModule]:
    """What does not depend on the first ``moves`` inputs, evaluated; and the rest as a map of (move, those values)."""
    nodes = list(graph.graph.nodes)
    inputs = [n for n in nodes if n.op == "placeholder"]
    depends = set(inputs[:moves])
    values: dict[fx.Node, Any] = dict(zip(inputs[moves:], rest, strict=True))
    linear = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {n: linear.placeholder(f"move_{k}") for k, n in enumerate(inputs[:moves])}
    wanted: list[fx.Node] = []
    later: list[fx.Node] = []
    for n in nodes:
        if n.op == "placeholder":
            continue
        if any(m in depends for m in n.all_input_nodes):
            depends.add(n)
            later.append(n)
            wanted += [m for m in n.all_input_nodes if m not in depends and m not in wanted]
        elif n.op == "get_attr":
            values[n] = getattr(graph, str(n.target))
        elif n.op == "call_function":
            args, kwargs = map_arg((n.args, n.kwargs), lambda m: values[m])
            values[n] = n.target(*args, **kwargs)  # type: ignore[operator]
        else:
            raise Misuse("the network's output does not depend on its parameters")
    for k, n in enumerate(wanted):
        copies[n] = linear.placeholder(f"feature_{k}")
    for n in later:
        copies[n] = linear.node_copy(n, lambda m: copies[m])
    return tuple(values[n].detach().clone() for n in wanted), fx.GraphModule(nn.Module(), linear)
