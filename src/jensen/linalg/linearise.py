"""A gradient linearised at a point, once: what does not depend on the vector is computed and kept, the rest applies it.

The gradient's graph is read over dual numbers whose tangents are forms (linear_form); the result is traced and split by
what depends on the vector. Forward over reverse: Pearlmutter (1994), "Fast exact multiplication by the Hessian".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg
from torch.utils import _pytree as pytree

from jensen.errors import Misuse
from jensen.linalg import linear_form, linear_tall
from jensen.linalg.linear_convolution import prepare
from jensen.linalg.linear_fold import fold
from jensen.linalg.linear_form import LOST, Form
from jensen.linalg.linear_graph import clean, known, trace
from jensen.linalg.linear_layout import laid
from jensen.linalg.linear_reuse import reuse
from jensen.linalg.linear_rules import elementwise, tangent


@dataclass
class Linearised:
    """A gradient and its tangent map.

    ``primal(*inputs)`` gives ``[value, *gradient, *kept]``; ``tangent(width)(*kept, *vectors)`` gives the products, one
    tensor for each moving input, with a leading axis of ``width`` columns unless the width is 0.
    """

    primal: fx.GraphModule
    single: fx.GraphModule
    moving: int
    samples: tuple[Tensor, ...] = field(repr=False)  # kept tensors without values: what wider maps are traced with
    shapes: tuple[tuple[int, ...], ...]
    mode: str
    seconds: float  # it took to trace
    graphs: dict[int, Callable[..., Any]] = field(default_factory=dict, repr=False)
    made: dict[tuple[int, bool], Callable[..., Any]] = field(default_factory=dict, repr=False)

    def graph(self, width: int) -> Callable[..., Any]:
        """The tangent map for so many columns at once, without side effects; 0 for one vector without the axis."""
        if width not in self.graphs:
            self.graphs[width] = _batched(self, width) if width else self.single
        return self.graphs[width]

    def tangent(self, width: int) -> Callable[..., Any]:
        """The same map for eager torch: it writes over what nobody else needs."""
        if (width, False) not in self.made:
            graph = self.graph(width)
            self.made[width, False] = reuse(graph) if isinstance(graph, fx.GraphModule) else graph
        return self.made[width, False]

    def compiled(self, width: int) -> Callable[..., Any]:
        """The same map through torch.compile; its shapes never change."""
        if (width, True) not in self.made:
            self.made[width, True] = torch.compile(self.graph(width), dynamic=False, fullgraph=True)
        return self.made[width, True]


def linearise(
    gradient: Callable[..., Any], inputs: Sequence[Tensor], moving: int, twins: bool = False, mode: str = "fake"
) -> Linearised:
    """Split ``gradient(*inputs) -> [value, g_1, ..., g_moving]``, linearised in its first ``moving`` inputs.

    Args:
        gradient: A function that torch can trace; its outputs after the value have the shapes of the moving inputs.
        inputs: Tensors; their values do not matter in mode "fake", only their shapes, strides and types.
        moving: How many of the inputs the vectors move.
        twins: Whether the next ``moving`` inputs hold the same values as the first, without moving.
        mode: "fake" traces without computing; "real" with the values, for graphs whose shapes depend on them.

    Raises:
        Misuse: Where the graph has writes in place that cannot be removed.
    """
    start = time.perf_counter()
    inputs = [t.clone() if moving <= i < 2 * moving and twins else t for i, t in enumerate(inputs)]  # no aliases
    graph = trace(gradient, inputs, mode)
    known(graph.graph)
    prepare(graph.graph)
    linear_tall.choose(graph.graph)
    vectors = tuple(inputs[:moving])

    def both(*args: Tensor) -> list[Any]:
        values, tangents = dual(graph, args[: len(inputs)], args[len(inputs) :])
        return [*values, *tangents[1:]]

    joint = trace(both, (*inputs, *(torch.empty_like(v) for v in vectors)), mode)
    shapes = tuple(tuple(v.shape) for v in vectors)
    if twins:
        places = [n for n in joint.graph.nodes if n.op == "placeholder"]
        for a, b in zip(places[:moving], places[moving : 2 * moving], strict=True):
            b.replace_all_uses_with(a)
        clean(joint.graph)
    primal, single, samples = split(joint, len(inputs), moving)
    return Linearised(primal, single, moving, samples, shapes, mode, time.perf_counter() - start)


def dual(module: fx.GraphModule, primals: Sequence[Tensor], vectors: Sequence[Tensor]) -> tuple[list[Any], list[Any]]:
    """The outputs of a graph, and their tangents where the first inputs move along the vectors (zeros included)."""
    values: dict[fx.Node, Any] = {}
    forms: dict[fx.Node, Any] = {}
    free = iter(primals)
    moved = iter(vectors)
    for node in module.graph.nodes:
        if node.op == "placeholder":
            values[node] = next(free)
            vector = next(moved, None)
            forms[node] = None if vector is None else linear_form.of(vector)
        elif node.op == "get_attr":
            values[node], forms[node] = torch.ops.aten.lift_fresh_copy.default(getattr(module, str(node.target))), None
        elif node.op == "call_function":
            values[node], forms[node] = _step(node, values, forms)
    outs = next(n for n in module.graph.nodes if n.op == "output").args[0]
    if any(forms[n] is LOST for n in outs):
        raise Misuse("an output has no tangent here: the map cannot be kept; use mode='reverse'")
    tangents = [torch.zeros_like(values[n]) if forms[n] is None else forms[n].value() for n in outs]
    return [values[n] for n in outs], tangents


def _step(node: fx.Node, values: dict[fx.Node, Any], forms: dict[fx.Node, Any]) -> tuple[Any, Any]:
    args, kwargs = map_arg((node.args, node.kwargs), lambda n: values[n])
    args = laid(node, args)
    out = linear_tall.value(node, args, kwargs)
    moves = [_forms(a, forms) for a in node.args]
    named = [_forms(a, forms) for a in node.kwargs.values()]
    if all(m is None for m in (*moves, *named)):
        return out, None
    if getattr(node.target, "__name__", "") == "getitem":
        return out, moves[0][args[1]]
    if any(m is LOST for m in pytree.tree_leaves(moves)) or any(m is not None for m in named):
        raise Misuse(f"{node.target} takes what has no tangent here: the map cannot be kept; use mode='reverse'")
    form = tangent(node.target, args, kwargs, moves, out)
    if isinstance(form, Form) and _shared(form, node):
        form.value()
    return out, form


def _shared(form: Form, node: fx.Node) -> bool:
    """Whether several operations would each add up or scale the same tangent: once is cheaper."""
    if len(form.terms) > 1:
        return len(node.users) > 1
    return sum(not elementwise(n.target) for n in node.users) > 1


def _forms(arg: Any, forms: dict[fx.Node, Any]) -> Any:
    if isinstance(arg, fx.Node):
        return forms[arg]
    if isinstance(arg, (list, tuple)):
        found = [_forms(a, forms) for a in arg]
        return None if all(f is None for f in found) else found
    return None


def split(joint: fx.GraphModule, inputs: int, moving: int) -> tuple[fx.GraphModule, fx.GraphModule, tuple[Tensor, ...]]:
    """The part of a traced dual that does not depend on the vectors, the part that does, and what passes between."""
    nodes = list(joint.graph.nodes)
    places = [n for n in nodes if n.op == "placeholder"]
    vectors = places[inputs:]
    dependent = set(vectors)
    for node in nodes:
        if node.op == "call_function" and any(a in dependent for a in node.all_input_nodes):
            dependent.add(node)
    outs = next(n for n in nodes if n.op == "output").args[0]
    products = list(outs[1 + moving :])  # type: ignore[index]
    wanted = [a for n in nodes if n in dependent for a in n.all_input_nodes] + products
    kept = [n for n in dict.fromkeys(wanted) if n not in dependent]
    primal = _extract(joint, places[:inputs], [*outs[: 1 + moving], *kept])  # type: ignore[index]
    single = _extract(joint, [*kept, *vectors], products)
    return primal, single, tuple(n.meta["val"] for n in kept)


def _extract(module: fx.GraphModule, inputs: Sequence[fx.Node], outputs: Sequence[fx.Node]) -> fx.GraphModule:
    """The graph from these nodes to those."""
    graph = fx.Graph()
    new = {}
    for i, n in enumerate(inputs):
        new[n] = graph.placeholder(f"in_{i}")
        new[n].meta = dict(n.meta)
    needed, stack = set(), [n for n in outputs if n not in new]
    while stack:
        n = stack.pop()
        if n not in needed:
            needed.add(n)
            stack += [m for m in n.all_input_nodes if m not in new]
    for n in module.graph.nodes:
        if n in needed:
            new[n] = graph.node_copy(n, lambda m: new[m])
    graph.output([new[n] for n in outputs])
    clean(graph)
    return fx.GraphModule(module, graph)


def _batched(linearised: Linearised, width: int) -> Callable[..., Any]:
    """The tangent map of one vector, traced for a leading axis of columns."""
    single, kept = linearised.single, len(linearised.samples)

    def many(*args: Tensor) -> Any:
        return torch.vmap(lambda *v: single(*args[:kept], *v))(*args[kept:])

    if linearised.mode == "real":  # shapes depend on values, and the samples have none
        return many
    places = [n for n in single.graph.nodes if n.op == "placeholder"][kept:]
    vectors = [n.meta["val"].new_empty((width, *s)) for n, s in zip(places, linearised.shapes, strict=True)]
    module = trace(many, (*linearised.samples, *vectors), linearised.mode)
    fold(module.graph, width)
    module.recompile()
    return module
