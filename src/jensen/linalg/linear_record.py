"""Functions of tensors as graphs, by a shorter way than make_fx's where a function is plain.

make_fx spends most of its time on what these functions do not have: proxies of numbers and objects, constants that may be read,
shapes that may depend on values. Here every operation is written down as it is dispatched, and runs on tensors without memory.
What is not plain (writes, values that are read, several devices) is refused, for make_fx to trace.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
LIFTED = (aten.lift_fresh.default, aten.lift_fresh_copy.default)
SIMPLE = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.addcmul.default, aten.neg.default}
META = torch.device("meta")
Table = Mapping[Any, Callable[..., Any]]


class NotPlain(Exception):
    """A function that needs make_fx."""


class Writes(NotPlain):
    """A function that writes in place."""


class _Held(NamedTuple):
    """A tensor that says its device, the same without one, and its node."""

    shown: Tensor
    bare: Tensor
    node: fx.Node


def record(f: Callable[..., Any], args: Sequence[Tensor], table: Table) -> tuple[nn.Module, fx.Graph]:
    """``f(*args)`` as a graph of operations that are not in the table, and a module with its constants; the tensors' values do
    not matter.

    Raises:
        NotPlain: Where the function needs make_fx.
    """
    devices = {t.device for t in args}
    if len(devices) != 1:
        raise NotPlain("several devices")
    recorder = _Recorder(table, devices.pop())
    inputs = [recorder.leaf(t, recorder.graph.placeholder(f"arg{i}_1")) for i, t in enumerate(args)]
    with recorder:
        outs = f(*inputs)
    recorder.graph.output(recorder.read(outs, "node"))
    return recorder.constants, recorder.graph


class _Recorder(TorchDispatchMode):
    def __init__(self, table: Table, device: torch.device) -> None:
        super().__init__()
        self.graph, self.table, self.device, self.fake = fx.Graph(), table, device, FakeTensorMode()
        self.held: dict[int, _Held] = {}  # so that no other tensor gets the id of one
        self.constants = nn.Module()

    def leaf(self, t: Tensor, node: fx.Node) -> Tensor:
        """What stands for a tensor from outside."""
        return self._shown(torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=META), node)

    def read(self, a: Any, which: str) -> Any:
        """Arguments with tensors as nodes, or as they run."""
        if isinstance(a, Tensor):
            held = self.held.get(id(a))
            if held is None:
                raise NotPlain("a tensor from outside")
            return getattr(held, which)
        return type(a)([self.read(x, which) for x in a]) if isinstance(a, (tuple, list)) else a

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return self.device
        form = self.table.get(func)
        if form is None and func.has_kernel_for_dispatch_key(COMPOSITE):
            form = func.decompose
        if form is not None:
            with self:
                return form(*args, **kwargs)
        if func._schema.is_mutable:
            raise Writes(str(func))
        if func in LIFTED:
            func, args = LIFTED[1], (self._constant(args[0]),)
        return self._run(func, args, kwargs)

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        places, named = self.read(args, "node"), {k: self.read(v, "node") for k, v in kwargs.items()}
        given, bare = self.read(args, "bare"), {k: self.read(v, "bare") for k, v in kwargs.items()}
        if "device" in kwargs or not _tensors(given):
            named["device"], bare["device"] = self.device, META
        out = _simple(func, given)
        if out is None:
            out = func(*given, **bare)
        if not isinstance(out, (Tensor, tuple, list)):  # of shapes; reading a value raises
            return out
        node = self.graph.call_function(func, places, named)
        if isinstance(out, Tensor):
            return self._shown(out, node)
        node.meta["val"] = shown = [t if t is None else self._shown(t, self._part(node, i)) for i, t in enumerate(out)]
        return tuple(shown)

    def _part(self, node: fx.Node, i: int) -> fx.Node:
        return self.graph.call_function(operator.getitem, (node, i))

    def _constant(self, t: Tensor) -> Tensor:
        if id(t) in self.held:
            return t
        name = f"_tensor_constant{len(list(self.constants.buffers()))}"
        self.constants.register_buffer(name, t.to(self.device))  # where it is said to be
        return self.leaf(t, self.graph.get_attr(name))

    def _shown(self, t: Tensor, node: fx.Node) -> Tensor:
        if t.device != META:
            raise NotPlain("a tensor with values")
        node.meta["val"] = shown = FakeTensor(self.fake, t, self.device)
        self.held[id(shown)] = _Held(shown, t, node)
        return shown


def _simple(func: Any, args: tuple[Any, ...]) -> Tensor | None:
    """The result of arithmetic on tensors that lie in order, which torch takes long to find without values; None for others."""
    if func not in SIMPLE:
        return None
    given = [a for a in args if isinstance(a, Tensor)]
    kind, shape = given[0].dtype, given[0].shape
    if not kind.is_floating_point or not all(t.dtype is kind and t.is_contiguous() for t in given):
        return None
    if not all(t.shape == shape for t in given):
        shape = torch.broadcast_shapes(*(t.shape for t in given))
    return torch.empty(shape, dtype=kind, device=META)


def _tensors(a: Any) -> bool:
    return any(_tensors(x) for x in a) if isinstance(a, (tuple, list)) else isinstance(a, Tensor)
