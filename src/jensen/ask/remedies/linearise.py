"""Train the network's first-order expansion in its parameters, at the current ones, in place of the network.

Where the loss is convex in the network's outputs, J is then convex in all parameters jointly: the model of the neural
tangent kernel and of lazy training (Jacot, Gabriel and Hongler, 2018; Chizat, Oyallon and Bach, 2019).

The derivative is traced once, below autograd. What does not depend on the parameters' move is evaluated and becomes the
data of the new cost; what remains is a linear map of the move. Before it is used it is compared with torch's own
backward pass.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
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

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function
from jensen.ask.remedies.edit import Edit
from jensen.ask.remedies.ground import Ground
from jensen.cost import Cost, _apply_model
from jensen.errors import Misuse
from jensen.kernel.claims.words import listing
from jensen.trace import trace

SIZE = 2.0
TOLERANCE, EXACT = 1e-8, 1e-12
CHECKS = 3
CODE = ("from jensen.ask.remedies.linearise import linearised", "cost = linearised(cost)")


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """The remedy that linearises the network, and why there is none."""
    if ground.function:
        return [], "the cost has no model apart from its loss that could be linearised"
    cut = trace(ground.cost).detached
    if cut:
        return [], f"torch's gradient is cut in {listing(cut)}: the linearisation would not be that of the network"
    try:
        cost = linearised(ground.cost)
        problem = trace(cost).problem
    except Misuse as e:
        return [], f"the linearisation cannot be built: {e}"
    words = "train the network's linearisation at the current parameters in place of the network"
    price = "another function, which agrees with the network to first order at the current parameters"
    edit = Edit("linearise", words, price, SIZE, (), tuple(CODE))
    found = ground.offer(edit, problem, tuple(cost.blocks), cost=cost, methods=("rules",))
    return [] if found is None else [found], "the loss is not proved convex in the network's outputs"


class Tangent(nn.Module):
    """f(centre) + Df(centre) (theta - centre), from what was computed at the centre for a chunk of data.

    Its parameters are named as the network's.
    """

    def __init__(self, maps: dict[Any, fx.GraphModule], centre: dict[str, Tensor], spec: Any):
        super().__init__()
        self.maps, self.paths = maps, list(centre)
        self.assemble = lambda leaves: pytree.tree_unflatten(leaves, spec)  # a spec itself is not copied in silence
        for k, (path, value) in enumerate(centre.items()):
            *parents, last = path.split(".")
            home: nn.Module = self
            for part in parents:
                if part not in home._modules:
                    home.add_module(part, nn.Module())
                home = home.get_submodule(part)
            home.register_parameter(last, nn.Parameter(value.clone()))
            self.register_buffer(f"centre_{k}", value.clone())

    def forward(self, *features: Tensor) -> Any:
        move = [attrgetter(p)(self) - getattr(self, f"centre_{k}") for k, p in enumerate(self.paths)]
        return self.assemble(list(self.maps[_key(features)](*move, *features)))


def _key(features: Any) -> tuple[Any, ...]:
    return tuple((tuple(t.shape), t.dtype.is_floating_point) for t in features)


def linearised(cost: Cost) -> Cost:
    """The cost with its network replaced by the first-order expansion at the current parameters.

    Raises:
        Misuse: Where the derivative cannot be traced, or disagrees with torch's backward pass.
    """
    if is_function(cost):
        raise Misuse(
            "this cost was made with Cost.of and has no model to linearise; use jensen.Cost(model, loss, data)"
        )
    cost._sync()
    model = copy.deepcopy(cost._private)
    own = dict(model.named_parameters())
    values = cost._values(None)
    centre = {cost._names[n]: values[n] for n in cost.blocks}
    rest = {n: t.detach() for n, t in (*own.items(), *model.named_buffers()) if n not in centre}
    rest |= {cost._names[n]: t for n, t in cost.fixed.items()}
    network = Network(model, centre, rest)
    maps: dict[Any, fx.GraphModule] = {}
    data, spec = [], None
    for chunk in cost._chunks:
        x, y = pytree.tree_unflatten(list(chunk.tensors), chunk.spec)
        features, linear, spec = network.at(x)
        maps.setdefault(_key(features), linear)
        data.append((features, y))
    new = Cost(
        Tangent(maps, centre, spec), cost._loss, data, cost._penalty, cost._reduction, lambda x, y: 1.0, cost._dtype
    )
    new._chunks = tuple(replace(c, weight=old.weight) for c, old in zip(new._chunks, cost._chunks, strict=True))
    return new


class Network:
    """The model as a function of its blocks, and the graphs of its derivative, one for each shape of the data."""

    def __init__(self, model: nn.Module, centre: dict[str, Tensor], rest: dict[str, Tensor]):
        self.model, self.centre, self.rest = model, centre, rest
        self.graphs: dict[Any, tuple[fx.GraphModule, Any]] = {}

    def value(self, theta: list[Tensor], rest: list[Tensor], x: Any) -> Any:
        """The network's output."""
        named = dict(zip(self.centre, theta, strict=True))
        named |= {n: t.clone() for n, t in zip(self.rest, rest, strict=True)}  # training may write to buffers
        wrapped = _Call(self.model)
        return torch.func.functional_call(wrapped, {f"model.{n}": t for n, t in named.items()}, (x,))

    def at(self, x: Any) -> tuple[tuple[Tensor, ...], fx.GraphModule, Any]:
        """What is computed at the centre for x, the linear map of (move, those values), and the output's structure."""
        data, spec = pytree.tree_flatten(x)
        leaves = [*data, *self.rest.values()]
        key = (_key(data), str(spec))
        if key not in self.graphs:
            self.graphs[key] = self.traced(leaves, len(data), spec)
        graph, out_spec = self.graphs[key]
        features, linear = split(graph, len(self.centre), [*self.centre.values(), *leaves])
        return features, linear, out_spec

    def traced(self, leaves: list[Any], n: int, spec: Any) -> tuple[fx.GraphModule, Any]:
        """Graph of (move, centre, n tensors of data, the rest) -> the leaves of f(centre) + Df(centre) move."""
        structure: list[Any] = []

        def f(theta: list[Tensor], flat: list[Any]) -> list[Tensor]:
            out, out_spec = pytree.tree_flatten(self.value(theta, flat[n:], pytree.tree_unflatten(flat[:n], spec)))
            if not all(isinstance(t, Tensor) and t.is_floating_point() for t in out):
                raise Misuse("the network's output holds something other than real tensors")
            structure[:] = [out_spec]
            return out

        centre = list(self.centre.values())
        why = "the derivative disagrees with torch's backward pass"
        for derivative in (_forward, _twice_backward):
            try:
                with plain_attention():
                    table: Any = core_aten_decompositions()
                    plain = make_fx(functionalize(f), table)(centre, leaves)
                    zero = [torch.zeros_like(t) for t in centre]
                    graph = make_fx(functionalize(derivative(plain)), table)(zero, centre, leaves)
                    flat = _flat(graph)
                    if agrees(flat, lambda t: f(t, leaves), centre, leaves):
                        return flat, structure[0]
            except Misuse:
                raise
            except Exception as e:  # torch raises many unrelated types
                why = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
        raise Misuse(
            f"the network's derivative cannot be traced ({why}); freeze blocks, or exchange operations instead"
        )


class _Call(nn.Module):
    """A model called with a tensor, a tuple or a dict, as a cost does."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Any) -> Any:
        return _apply_model(self.model, x)


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


def _forward(f: Callable[..., Any]) -> Callable[..., Any]:
    jvp: Any = torch.func.jvp

    def run(move: list[Tensor], centre: list[Tensor], leaves: list[Any]) -> list[Tensor]:
        out, tangent = jvp(lambda t: f(t, leaves), (centre,), (move,))
        return [a + b for a, b in zip(out, tangent, strict=True)]

    return run


def _twice_backward(f: Callable[..., Any]) -> Callable[..., Any]:
    vjp: Any = torch.func.vjp

    def run(move: list[Tensor], centre: list[Tensor], leaves: list[Any]) -> list[Tensor]:
        out, pull = vjp(lambda t: f(t, leaves), centre)
        _, push = vjp(lambda u: pull(u)[0], [torch.zeros_like(t) for t in out])
        (tangent,) = push(move)
        return [a + b for a, b in zip(out, tangent, strict=True)]

    return run


def _flat(graph: fx.GraphModule) -> fx.GraphModule:
    """A graph of flat inputs and a flat list of outputs, without dead code."""
    graph.graph.set_codegen(CodeGen())
    (output,) = [n for n in graph.graph.nodes if n.op == "output"]
    output.args = (tuple(pytree.tree_leaves(output.args[0])),)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def agrees(graph: fx.GraphModule, f: Callable[..., Any], centre: list[Tensor], leaves: list[Any]) -> bool:
    """Whether the map is the function's first-order expansion: <u, Df v> = <Df' u, v>, the right side by torch's backward."""
    generator = torch.Generator().manual_seed(0)
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
        noise = EXACT * sum((float((u * t).abs().sum()) for u, t in zip(up, base, strict=True)), 0.0)
        same = all(torch.allclose(a, b, rtol=TOLERANCE, atol=EXACT) for a, b in zip(base, out, strict=True))
        if not same or not abs(left - right) <= TOLERANCE * size + noise:
            return False
    return True


def split(graph: fx.GraphModule, moves: int, rest: list[Any]) -> tuple[tuple[Tensor, ...], fx.GraphModule]:
    """What does not depend on the first ``moves`` inputs, evaluated; and the rest as a map of (move, those values)."""
    nodes = list(graph.graph.nodes)
    inputs = [n for n in nodes if n.op == "placeholder"]
    depends = set(inputs[:moves])
    values: dict[fx.Node, Any] = dict(zip(inputs[moves:], rest, strict=True))
    if any(n.op == "call_function" and n.target._schema.is_mutable for n in nodes if hasattr(n.target, "_schema")):
        raise Misuse("the network's derivative writes in place")
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
