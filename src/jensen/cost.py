"""The cost J(W, b): model, loss, data and penalty as one function of named parameter tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from jensen import chunks, copies, given, live
from jensen.ambient import alone, differentiable
from jensen.casts import OneFloatType
from jensen.chance import chance_kept
from jensen.chunks import Chunk, channels_first
from jensen.cuts import warn_of_cuts
from jensen.errors import Misuse
from jensen.hints import hint
from jensen.inline import inline
from jensen.keys import checksum
from jensen.linalg.accumulate import accumulated, total
from jensen.parts import FunctionPart, Part, at
from jensen.weights import chunk_weight, reduction_of, weighing

BLOCKS_MODULE = "values"


class Cost:
    """J = reduction over data of loss(model(x), y), plus penalty({name: tensor}).

    Args:
        model: A torch module; it is copied (to ``dtype``, on the CPU) and never changed; its parameters are read live.
        loss: A torch.nn loss or any callable of (output, y) that returns one number.
        data: ``(x, y)`` of tensors, tuples or dicts of tensors (the model gets a tuple as positional, a dict as keyword
            arguments); or an iterable of such pairs that gives the same
            chunks in the same order every time, for example a DataLoader without shuffling. Up to 256 MB are kept in
            memory; larger data is read again on every pass, and each chunk's sha256 compared. Making a cost leaves the
            global random states as they were; a DataLoader that is read again later draws a seed from torch's.
        penalty: A callable of ``{block name: tensor}`` that returns one number.
        reduction: How the loss reduces inside a chunk, ``"mean"`` or ``"sum"``; a torch.nn loss's own word wins.
        weight: A callable (x, y) -> a chunk's share; by default its rows, or the sum of its class weights.
        dtype: In which type J is evaluated; float64 unless asked otherwise.

    Raises:
        Misuse: For input that has no well-defined cost, with the remedy.
    """

    @differentiable()
    def __init__(
        self,
        model: nn.Module,
        loss: Any,
        data: Any,
        penalty: Callable[[Mapping[str, torch.Tensor]], torch.Tensor] | None = None,
        reduction: str = "mean",
        weight: Callable[..., Any] | None = None,
        dtype: torch.dtype = torch.float64,
    ):
        given.sensible(model, loss, penalty, weight, dtype)
        self._model, self._loss, self._penalty, self._dtype = model, loss, penalty, dtype
        self._reduction, self._weight, self._weighing = reduction_of(loss, reduction), weight, weighing(loss)
        self._names = _named_blocks(model)
        self._fixed: dict[str, torch.Tensor] = {}
        self._held: dict[str, torch.Tensor] = {}
        self._programs: dict[Any, Any] = {}
        self._private = copies.private(model, dtype)
        self._written: tuple[frozenset[live.Place], ...] = (frozenset(), frozenset())
        self._private_loss = copies.private_loss(loss, model, dtype) if isinstance(loss, nn.Module) else loss
        pairs = [(self._private, model), *([(self._private_loss, loss)] if isinstance(loss, nn.Module) else [])]
        self._seen = tuple(live.start(ours, theirs) for ours, theirs in pairs)
        with chance_kept():  # a DataLoader draws a seed for each pass
            self._chunks = chunks.read(data, dtype, partial(chunk_weight, loss, self._reduction, weight))
            self._gate()
            self._written = tuple(live.written(a, b, seen) for (a, b), seen in zip(pairs, self._seen, strict=True))
            if weight is None:
                warn_of_cuts(self)

    @classmethod
    @differentiable()
    def of(cls, fn: Callable[..., torch.Tensor], **tensors: Any) -> Cost:
        """The cost of any torch function, called with named tensors; numbers become 0-d float64 tensors."""
        if not tensors:
            raise Misuse("Cost.of(fn) has no tensors: name the blocks, as in Cost.of(lambda x: x * x, x=1.0)")
        values = {name: given.block(name, value) for name, value in tensors.items()}
        part = FunctionPart(fn, {name: value.detach().clone() for name, value in values.items()})
        cost = cls.__new__(cls)
        cost._model, cost._loss, cost._penalty, cost._dtype = part, None, None, torch.float64
        cost._reduction, cost._weight, cost._written = "mean", None, (frozenset(),)
        cost._seen = ({},)
        cost._names = {name: f"{BLOCKS_MODULE}.{i}" for i, name in enumerate(values)}
        cost._fixed, cost._held, cost._programs = {}, {}, {}
        cost._private, cost._private_loss = part, None
        cost._chunks = chunks.without_data()
        cost._gate()
        return cost

    @property
    def blocks(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the blocks, in the model's parameter order."""
        return {name: tuple(t.shape) for name, t in self._current().items()}

    @property
    def theta(self) -> dict[str, torch.Tensor]:
        """The current values of the blocks, copied, in the cost's dtype, on the CPU."""
        return {name: self._cast(t) for name, t in self._current().items()}

    @property
    def buffers(self) -> dict[str, torch.Tensor]:
        """The current values of the model's buffers that are floats, such as running statistics; copied like theta."""
        now = {n: b for n, b in self._model.named_buffers() if b.is_floating_point()}
        return {name: self._cast(self._held.get(name, b)) for name, b in now.items()}

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def floats(self) -> OneFloatType:
        """A context in which all floats are of the cost's type."""
        own = next((p.dtype for p in self._model.parameters() if p.is_floating_point()), None)
        return OneFloatType(self._dtype, own)

    def __call__(self, theta: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """J at the current parameters, or at a dict of tensors (missing blocks keep their current values)."""
        values = self._values(theta)
        terms = [partial(self.weighted_part, k, chunk, weight) for k, (chunk, weight) in enumerate(self.parts())]
        return accumulated(terms, values) if self.streamed else total(terms, values)

    @differentiable()
    def restrict(self, of: str | Iterable[str]) -> Cost:
        """The cost as a function of fewer blocks, the others fixed where they are now."""
        keep = self.match(of)
        other = copy.copy(self)
        other._fixed = {**self._fixed, **{n: t for n, t in self.theta.items() if n not in keep}}
        other._programs = {}
        return other

    @differentiable()
    def holding(self, buffers: Mapping[str, torch.Tensor]) -> Cost:
        """The cost with some of the model's float buffers at given values, those of another training for example."""
        own = self.buffers
        for name, value in buffers.items():
            if name not in own or own[name].shape != value.shape:
                raise Misuse(f"{name!r} of shape {tuple(value.shape)} is no float buffer; there are {', '.join(own)}")
        other = copy.copy(self)
        other._held = {**self._held, **{n: self._cast(b) for n, b in buffers.items()}}
        other._programs = {}
        return other

    @differentiable()
    def on(self, data: Any = None) -> Cost:
        """The same model and loss on other data (test data, say), or on its own, without the penalty."""
        if self._loss is None:
            raise Misuse(
                "a cost made with Cost.of has no data to exchange; give its test loss as a function of the blocks"
            )
        other = copy.copy(self) if data is None else self._with(data)
        other._penalty, other._programs, other._shares = None, {}, (None, ())
        other._gate()
        return other

    @differentiable()
    def few(self, rows: int) -> Cost | None:
        """The same cost, penalty included, on some rows of its first chunk, evenly spaced; None where its data cannot be cut so."""
        chunk = self._chunks[0]
        tensors = () if self._loss is None else chunk.tensors
        if not tensors or any(t.dim() == 0 or t.shape[0] != tensors[0].shape[0] for t in tensors):
            return None
        step = max(tensors[0].shape[0] // max(rows, 1), 1)
        return self._with(tuple(pytree.tree_unflatten([t[::step][:rows] for t in tensors], chunk.spec)))

    def _with(self, data: Any) -> Cost:
        """The same cost on other data, its penalty included."""
        other = copy.copy(self)
        other._programs, other._shares = {}, (None, ())
        other._chunks = chunks.read(data, self._dtype, partial(chunk_weight, self._loss, self._reduction, self._weight))
        return other

    def match(self, of: str | Iterable[str] | None) -> tuple[str, ...]:
        """Names of the blocks that match a pattern (fnmatch, case kept) or one of several; all for None."""
        names = tuple(self.blocks)
        if of is None:
            return names
        patterns = [of] if isinstance(of, str) else list(of) if isinstance(of, Iterable) else [of]
        if strange := [p for p in patterns if not isinstance(p, str)]:
            raise Misuse(f"of={strange[0]!r} is no pattern; blocks are named by words, such as {names[0]!r} or '*'")
        for p in patterns:
            if not any(fnmatchcase(n, p) or n == p for n in names):
                raise Misuse(f"the pattern {p!r} matches no block; the blocks are {', '.join(names)}")
        found = tuple(n for n in names if any(fnmatchcase(n, p) or n == p for p in patterns))
        if not found:
            raise Misuse(f"no block is asked about; name some of {', '.join(names)}")
        return found

    # -- what trace and the questions use ------------------------------------------------------------------------

    @property
    def streamed(self) -> bool:
        """Whether the data is read again on every pass, because it is too large to keep."""
        return self._chunks[0].streamed

    def parts(self) -> list[tuple[Chunk | None, Fraction]]:
        """The chunks with their exact weights, then None for the penalty where it stands alone."""
        return list(self._parts)

    @property
    def _parts(self) -> tuple[tuple[Chunk | None, Fraction], ...]:
        chunks_, parts = self.__dict__.get("_shares", (None, ()))
        if chunks_ is not self._chunks:
            parts = self._share()
            self._shares = (self._chunks, parts)
        return parts

    def _share(self) -> tuple[tuple[Chunk | None, Fraction], ...]:
        whole = sum((c.weight for c in self._chunks), Fraction(0))
        if whole <= 0:
            raise Misuse("the weights of the data sum to zero: every target is ignored, or the data is empty")
        whole = whole if self._reduction == "mean" else Fraction(1)
        out = tuple((c, c.weight / whole) for c in self._chunks if c.weight > 0)
        return (*out, (None, Fraction(1))) if self._penalty is not None and len(self._chunks) > 1 else out

    def part_module(self, chunk: Chunk | None) -> nn.Module:
        """A module whose forward, on the chunk's tensors, is that part of the cost."""
        if isinstance(self._private, FunctionPart):
            return self._private
        self._sync()
        loss = None if chunk is None else self._private_loss
        penalty = self._penalty if chunk is None or len(self._chunks) == 1 else None
        return Part(self._private, loss, penalty, self._names, None if chunk is None else chunk.spec, self.floats)

    def part_value(self, values: Mapping[str, torch.Tensor], k: int, chunk: Chunk | None) -> torch.Tensor:
        """One part of the cost at given values of all blocks."""
        module = self.part_module(chunk)
        prefix = "" if isinstance(module, FunctionPart) else "model."
        named = {prefix + self._names[n]: t for n, t in values.items()}
        data = () if chunk is None else chunk.tensors
        try:
            with alone(), inline():
                out = at(module, named, data)
        except Misuse:
            raise
        except Exception as e:  # the user's code may raise anything
            text = " ".join(str(e).split())
            raise Misuse(
                f"the cost cannot be computed: {type(e).__name__}: {text}; {hint(text, self.dtype)}check the shapes and types of model, data "
                f"and targets, and the names in the penalty (blocks: {', '.join(list(self._names)[:8])})"
            ) from e
        return given.scalar(out)

    def weighted_part(self, k: int, chunk: Chunk | None, weight: Fraction, values: Mapping[str, torch.Tensor]) -> Any:
        """One part of the cost, as it is summed."""
        return float(weight) * self.part_value(values, k, chunk)

    def blocks_of(self, named: Mapping[str, torch.Tensor]) -> dict[str, str]:
        """Blocks behind the parameters of an exported part, by their full names; tied names give one block."""
        prefix = "" if isinstance(self._private, FunctionPart) else "model."
        owner = {id(named[prefix + own]): name for name, own in self._names.items()}
        return {fqn: owner[id(p)] for fqn, p in named.items() if id(p) in owner}

    @property
    def fixed(self) -> dict[str, torch.Tensor]:
        """Blocks that a restriction has fixed, with their values."""
        return dict(self._fixed)

    def _values(self, theta: Mapping[str, torch.Tensor] | None) -> dict[str, torch.Tensor]:
        """All blocks, those of a restriction too: the current ones where none are given."""
        if theta is not None and not isinstance(theta, Mapping):
            raise Misuse(f"a point is a dict of tensors named like the blocks, not {type(theta).__name__}")
        current, given = self._current(), dict(theta or {})
        for name, value in given.items():
            if name not in current:
                raise Misuse(f"{name!r} is not a block of this cost; the blocks are {', '.join(current)}")
            shape = tuple(current[name].shape)
            if not isinstance(value, torch.Tensor) or value.is_complex():
                what = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
                raise Misuse(f"block {name!r} is given as {what}; give a tensor of {shape} of real numbers")
            if tuple(value.shape) != shape:
                raise Misuse(f"block {name!r} has shape {shape}, the given tensor {tuple(value.shape)}")
        new = {n: channels_first(t if t.dtype == self._dtype else t.to(self._dtype)) for n, t in given.items()}
        return {**self._fixed, **{n: new[n] if n in new else self._cast(t) for n, t in current.items()}}

    def _current(self) -> dict[str, torch.Tensor]:
        """The model's own tensors of the blocks."""
        named = self._named()
        return {name: named[fqn] for name, fqn in self._names.items() if name not in self._fixed}

    def _cast(self, t: torch.Tensor) -> torch.Tensor:
        return channels_first(t.detach().to(device="cpu", dtype=self._dtype, copy=True))

    def _named(self) -> Mapping[str, torch.Tensor]:
        """The model's parameters by all their names, while they are those that the blocks were made of."""
        named = dict(self._model.named_parameters(remove_duplicate=False))
        if any(fqn not in named for fqn in self._names.values()):
            live.same(self._private, self._model)
        return named

    def _sync(self) -> None:
        """Bring the private copies to the live parameters, buffers, modes and plain attributes of the user's model and loss."""
        live.bring(self._private, self._model, self._seen[0], self._held)
        for theirs, ours in zip(self._model.modules(), self._private.modules(), strict=True):
            ours.training = theirs.training
        if isinstance(self._loss, nn.Module):
            self._sync_loss(self._loss)

    def _sync_loss(self, loss: nn.Module) -> None:
        if weighing(loss) != self._weighing:
            raise Misuse(
                "the loss weighs the rows otherwise than when its cost was made (weight, ignore_index or reduction): make the "
                "cost anew"
            )
        ours: Any = self._private_loss
        live.bring(ours, loss, self._seen[1], what="loss")

    def modes(self) -> tuple[Any, ...]:
        """What a traced program depends on besides the parameters: the modes and plain attributes of model and loss, the
        buffers, and the parameters that are no blocks."""
        loss = [self._loss] if isinstance(self._loss, nn.Module) else []
        modules: list[nn.Module] = [self._model, *loss]
        pairs = zip(modules, self._written, strict=False)
        modes = tuple((tuple(m.training for m in root.modules()), live.attributes(root, but)) for root, but in pairs)
        blocks = set(self._names.values())
        fixed = [p for n, p in self._model.named_parameters() if n not in blocks]
        others = fixed + [t for root in loss for t in _tensors(root)]
        sums = [tuple(checksum(t) for t in tensors) for tensors in (self._model.buffers(), others)]
        return modes, *sums

    def _gate(self) -> None:
        from jensen.gate import gate

        gate(self)


def _tensors(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _named_blocks(model: nn.Module) -> dict[str, str]:
    """Block name -> parameter name; tied parameters once, partial overlaps refused."""
    devices = {str(t.device) for t in (*model.parameters(), *model.buffers())}
    if len(devices) > 1:
        raise Misuse(f"the parameters lie on several devices ({', '.join(sorted(devices))}); move the model to one")
    if "meta" in devices:
        raise Misuse("the parameters lie on the meta device and have no values; materialise the model first")
    for name, t in (*model.named_parameters(), *model.named_buffers()):
        if t.layout is not torch.strided and not isinstance(t, nn.parameter.UninitializedParameter):
            raise Misuse(
                f"{name!r} is a {t.layout} tensor, and programs hold dense ones: make it dense with .to_dense()"
            )
    names: dict[str, str] = {}
    storages: dict[int, str] = {}
    for name, p in model.named_parameters():
        if isinstance(p, nn.parameter.UninitializedParameter):
            raise Misuse(f"parameter {name!r} has no shape yet; run the lazy model once on data first")
        if p.is_complex():
            raise Misuse(f"parameter {name!r} is complex; jensen answers about real parameters: split it in two")
        if not p.is_floating_point():
            continue
        if p.numel():
            other = storages.setdefault(p.untyped_storage().data_ptr(), name)
            if other != name:
                raise Misuse(f"parameters {other!r} and {name!r} share memory but are not one tensor; tie them whole")
        if p.requires_grad:
            names[name] = name
    if not names:
        raise Misuse("the model has no parameter that requires gradients; there is nothing to ask about")
    return names
