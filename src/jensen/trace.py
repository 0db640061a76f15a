"""From a cost to its programs: the only file that touches torch.export."""

from __future__ import annotations

import gc
import io
import keyword
import logging
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode
from torch.fx.node import map_arg

from jensen.ambient import alone, differentiable
from jensen.atoms import registry
from jensen.binding import Graph, Last, Streamed
from jensen.chunks import Chunk
from jensen.constants import detach_shapes, padded
from jensen.cost import Cost
from jensen.decompose import decomposed
from jensen.drift import NONE, Mark, mark
from jensen.errors import Misuse
from jensen.exact import foldable
from jensen.gate import settled, steady
from jensen.hints import hint
from jensen.inline import inline
from jensen.kernel.program import Problem, Program, Ref, Term
from jensen.lower.table import SUBSTITUTES
from jensen.normal import NORMAL, Builder, default
from jensen.normal_integers import meant
from jensen.precision import readable
from jensen.replay import replay
from jensen.surgery import needed, pruned


@dataclass(frozen=True)
class Traced:
    """The cost as data for the kernel, and how long torch.export took, in seconds.

    ``detached`` are the blocks in which torch's gradient of the cost is not the derivative of its value (detach,
    no_grad, custom backward passes): derivatives must be refused there. ``roles`` say of each term's nodes whether they
    belong to the model, the loss or the penalty (nothing for leaves, and for costs that are functions). A cost whose ``mark``
    does not stand has changed. ``modes`` and ``buffers`` are what the cost's model was then, and ``graphs`` what was
    captured, by the shapes of the chunks, so that moved buffers need no other capture.
    """

    problem: Problem
    seconds: float
    detached: tuple[str, ...] = ()
    roles: tuple[tuple[str, ...], ...] = ()
    mark: Mark = NONE
    modes: Any = None
    buffers: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False, compare=False)
    graphs: Mapping[Any, Graph] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without torch's graphs, which cannot be pickled: a copy captures anew when its buffers move."""
        return {**self.__dict__, "graphs": {}}


class Uncaptured(Misuse):
    """An operation of torch that torch.export cannot capture, so that nothing can be said of the cost."""


@differentiable()
@alone()
def trace(cost: Cost) -> Traced:
    """The cost's programs and constants, replayed against the cost before they are handed out.

    Raises:
        Uncaptured: Where that is because of an operation of torch.nn; the questions answer UNKNOWN.
        Misuse: Where torch.export cannot capture the cost, or the program does not compute it.
    """
    key = cost.modes()
    known = cost._programs.get(key)
    if known is None or not known.mark.stands():
        traced = _rebound(cost, key) or _trace(cost, key, {})
        cost._programs.clear()
        cost._programs[key] = traced
    return cost._programs[key]


def outdated(cost: Cost) -> None:
    """As if buffers had moved since the cost was captured: the next use takes as long as those after training steps."""
    cost._programs = dict(enumerate(cost._programs.values()))


def _rebound(cost: Cost, key: tuple[Any, ...]) -> Traced | None:
    """The programs that are known, with constants of the buffers as they are now; None where more than these changed."""
    known = next((t for t in cost._programs.values() if isinstance(t, Traced) and t.graphs), None)
    if known is None or key in cost._programs or not _same_but_buffers(known.modes, key):
        return None
    if not known.mark.stands(known.buffers):
        return None
    graphs: dict[Any, Graph] = {}
    for shape, graph in known.graphs.items():
        chunk = next((c for c, _ in cost.parts() if _shape(c) == shape), None)
        moved = graph.moved(dict(cost.part_module(chunk).named_buffers(remove_duplicate=False)))
        if moved is None:
            return None
        graphs[shape] = moved
    try:
        return _trace(cost, key, graphs)
    except Misuse:  # whatever it is: a new capture finds out
        return None


def _same_but_buffers(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    (modes, _, frozen), (others, _, same) = a, b
    return modes == others and frozen == same


def _shape(chunk: Chunk | None) -> Any:
    """What chunks that share a program have in common."""
    return None if chunk is None else (chunk.shapes, chunk.dtypes, str(chunk.spec))


def _trace(cost: Cost, key: tuple[Any, ...], graphs: dict[Any, Graph]) -> Traced:
    start = time.perf_counter()
    settled(cost)
    steady(cost)
    terms: list[Term] = []
    last = Last()
    roles: list[tuple[str, ...]] = []
    fixed = {name: t.numpy() for name, t in cost.fixed.items()}
    for chunk, weight in cost.parts():
        shape = _shape(chunk)
        if shape not in graphs:
            graphs[shape] = capture(cost, chunk)
        graph = graphs[shape]
        bound = Streamed(graph, chunk, fixed, last) if cost.streamed else graph.bind(chunk, fixed)
        terms.append(Term(graph.program, bound, weight, graph.data))
        roles.append(graph.roles)
    seconds = time.perf_counter() - start
    problem = Problem(tuple(terms), cost.blocks)
    found = {n: b.detach().clone() for n, b in cost._private.named_buffers()}
    again = graphs if found else {}
    return Traced(problem, seconds, replay(cost, problem), tuple(roles), mark(cost), key, found, again)


def capture(cost: Cost, chunk: Chunk | None) -> Graph:
    """Export one part of the cost and bring it to normal form."""
    module = cost.part_module(chunk)
    exported = export(module, () if chunk is None else chunk.tensors)
    try:
        return normalise(cost, exported, module)
    except GuardOnDataDependentSymNode as e:
        raise Misuse(_export_message(e)) from e


def export(module: nn.Module, data: tuple[torch.Tensor, ...]) -> Any:
    """torch.export with everything decomposed that no atom knows."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    detect = torch.nn.modules.transformer._detect_is_causal_mask
    # torch compares the mask's values with a causal one to choose a kernel; the result is the same without that hint
    torch.nn.modules.transformer._detect_is_causal_mask = lambda mask, is_causal=None, size=None: is_causal is True
    try:
        with (
            warnings.catch_warnings(),
            torch.enable_grad(),
            substituted(),
            quiet(),
            uncollected(),
            readable(),
            inline(),
        ):
            warnings.simplefilter("ignore")
            exported = torch.export.export(module, data, strict=False)
            return decomposed(exported)
    except Exception as e:  # torch.export raises many unrelated types
        name = _unspeakable(module) if isinstance(e, SyntaxError) else None
        if name is not None:
            raise Misuse(
                f"torch.export writes names into Python code, and cannot write that of {name!r}: name it with letters, digits "
                f"and underscores, and not like a word of Python's own"
            ) from e
        operation = _operation(e)
        if operation is not None:
            raise Uncaptured(
                f"torch.export cannot capture {operation} ({_text(e)}); {hint(str(e))}".rstrip("; ")
            ) from e
        raise Misuse(_export_message(e)) from e
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.nn.modules.transformer._detect_is_causal_mask = detect


def _unspeakable(module: nn.Module) -> str | None:
    """The first parameter or buffer whose name is none in Python."""
    for name, _ in (*module.named_parameters(), *module.named_buffers()):
        if any(keyword.iskeyword(part) or not re.fullmatch(r"\w+", part) for part in name.split(".")):
            return name.removeprefix("model.")
    return None


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's own log of what it could not capture: the error that jensen raises says it."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection: the many short-lived objects of a capture would set off walks over all that live."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@contextmanager
def substituted() -> Iterator[None]:
    """Functions of torch that export cannot follow or takes apart, in an equal form that it keeps."""
    home = torch.nn.functional
    originals = {name: getattr(home, name) for name in SUBSTITUTES}
    for name, form in SUBSTITUTES.items():
        setattr(home, name, form)
    try:
        yield
    finally:
        for name, form in originals.items():
            setattr(home, name, form)


def _operation(e: Exception) -> str | None:
    """The function or layer of torch.nn that cannot be captured; None where the user's own code is to blame."""
    found, tb = None, e.__traceback__
    while tb is not None:
        module = tb.tb_frame.f_globals.get("__name__") or ""
        if module == "torch.nn.functional":
            found = tb.tb_frame.f_code.co_name
        elif module.startswith("torch.nn.modules.") and not module.endswith((".module", ".container")):
            found = type(tb.tb_frame.f_locals.get("self")).__name__
        elif module.split(".")[0] not in ("torch", "jensen", "sympy", *sys.stdlib_module_names):
            found = None
        tb = tb.tb_next
    return None if any(op.startswith(f"aten.{found}.") for op in registry().atoms) else found


def _text(e: Exception) -> str:
    """What torch says, less its hints for its developers."""
    text = " ".join(str(e).split())
    for end in (" (unhinted", " Caused by:", " For more information", " While executing %"):
        text = text.split(end)[0]
    return text[:300]


def _export_message(e: Exception) -> str:
    text = _text(e)
    if (
        "data-dependent" in text.lower()
        or "DynamicOutputShape" in type(e).__name__
        or "GuardOnDataDependent" in type(e).__name__
    ):
        return (
            f"torch.export cannot capture the cost: its control flow or shapes depend on values of tensors ({text}); "
            f"use torch.where or masks in place of `if` on tensors, and validate_args=False for torch's distributions"
        )
    if "Sparse" in text:
        return f"torch.export cannot capture sparse tensors ({text}): make them dense with .to_dense()"
    return (
        f"torch.export cannot capture the cost: {type(e).__name__}: {text}; {hint(' '.join(str(e).split()))}jensen needs a cost that "
        f"torch.export accepts"
    )


def normalise(cost: Cost, exported: Any, module: nn.Module) -> Graph:
    """The exported graph as a Program."""
    signature = exported.graph_signature
    b = Builder()
    attributes = b.sources.attributes
    inputs, leaves, buffers = list[fx.Node](), dict[str, Ref](), dict[fx.Node, str]()
    detach_shapes(exported.graph)
    own = dict(module.named_parameters(remove_duplicate=False))
    blocks = cost.blocks_of(own)
    folded: dict[fx.Node, bool] = {}
    for node in exported.graph.nodes:
        b.current = node
        if node.op == "placeholder":
            name = node.name
            folded[node] = True
            if name in signature.inputs_to_parameters:
                fqn = signature.inputs_to_parameters[name]
                block = blocks.get(fqn)
                if block is not None:
                    folded[node] = False
                    key = f"fixed.{block}" if block in cost.fixed else block
                    op = "const" if block in cost.fixed else "block"
                    if key not in leaves:
                        leaves[key] = b.emit(op, key, name=key, module=" ")
                    b.value[node] = leaves[key]
                    continue
                attributes[node] = own[fqn].detach().clone()
            elif name in signature.inputs_to_buffers:
                fqn = signature.inputs_to_buffers[name]
                source = exported.constants if fqn in exported.constants else exported.state_dict
                attributes[node], buffers[node] = source[fqn].detach().clone(), fqn
            elif name in signature.inputs_to_lifted_tensor_constants:
                attributes[node] = exported.constants[signature.inputs_to_lifted_tensor_constants[name]].detach()
            elif node.name in signature.input_tokens:
                b.value[node] = None
            else:
                inputs.append(node)
        elif node.op == "call_function":
            folded[node] = foldable(node, folded) and not padded(node, inputs, attributes)
            if not folded[node]:
                b.value[node] = _convert(b, node, folded)
                _note_shape(b, node)
    output = _user_output(exported, signature)
    ref = _reference(b, output, folded)
    out = _scalar(b, ref, output)
    whole = Program(tuple(n._replace(module=n.module.strip()) for n in b.nodes), out.index)
    roles = tuple(b.roles[i] for i in needed(whole))
    program = pruned(whole)
    return Graph(program, exported.graph, inputs, attributes, b.sources.wanted, roles, buffers)


def _scalar(b: Builder, ref: Any, output: fx.Node) -> Ref:
    if not isinstance(ref, Ref):
        raise Misuse(f"the cost is the number {ref}, whatever its blocks are; there is nothing to ask about")
    if tuple(output.meta["val"].shape) == ():
        return ref
    b.current = None
    return b.emit("aten.view.default", ref, (), name="cost")


def _note_shape(b: Builder, node: fx.Node) -> None:
    value, ref = node.meta.get("val"), b.value[node]
    if isinstance(ref, Ref) and isinstance(value, torch.Tensor) and all(isinstance(n, int) for n in value.shape):
        b.shape[ref.index] = tuple(value.shape)


def _user_output(exported: Any, signature: Any) -> fx.Node:
    name = signature.user_outputs[0]
    return next(n for n in exported.graph.nodes if n.name == name)


def _reference(b: Builder, node: fx.Node, folded: Mapping[fx.Node, bool]) -> Any:
    """What an fx node is in the program; exact constants become leaves when they are first needed."""
    if node not in b.value:
        if not folded.get(node):
            raise Misuse(f"torch.export left {node.name} without a value")
        b.value[node] = b.leaf(node, node.name)
    return b.value[node]


def _convert(b: Builder, node: fx.Node, folded: Mapping[fx.Node, bool]) -> Any:
    if getattr(node.target, "__name__", "") == "getitem":
        source = b.value[node.args[0]]  # type: ignore[index]
        if isinstance(source, tuple) and not isinstance(source, Ref):
            return source[node.args[1]]  # type: ignore[index]
        return b.emit("python.getitem", source, node.args[1])
    args = map_arg(list(node.args), lambda m: _reference(b, m, folded))
    kwargs = map_arg(dict(node.kwargs), lambda m: _reference(b, m, folded))
    found = meant(b, node, args, kwargs)
    if found is not None:
        return found
    rule = NORMAL.get(node.target)
    if rule is None:
        return default(b, node, args, kwargs)
    kwargs = {k: v for k, v in kwargs.items() if k not in ("dtype", "layout", "device", "memory_format", "pin_memory")}
    return rule(b, *args, **kwargs)
