"""What a model holds beside its parameters and buffers: its layers, and numbers, words, functions and tensors as plain attributes.

A cost works on a copy of the model. The copy follows these too, so that J is always that of the model as it is; a model that
has become another one (a layer exchanged, a parameter added) is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Hashable, Iterable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jensen.errors import Misuse

OWN = frozenset(vars(nn.Module())) | {"forward"}  # of every module; trainers put a forward of theirs in its place
LONG = 1_000  # entries, and values within values; a vocabulary is not followed, nor a large array
SIMPLE = (type(None), bool, int, str, bytes, torch.dtype, torch.device, FunctionType, BuiltinFunctionType)


Place = tuple[int, str]  # an attribute: its layer's number, and its name


class _Other(Exception):
    """A value of another kind, which is not followed."""


def attributes(module: nn.Module, but: Collection[Place] = ()) -> tuple[Hashable, ...]:
    """The plain values of all layers but some; tensors are left out: these are known by what J is."""
    values = ((i, n, v) for i, m in enumerate(module.modules()) for n, v in _plain(m))
    return tuple((i, n, _key(v)) for i, n, v in values if (i, n) not in but)


def written(ours: nn.Module, theirs: nn.Module) -> frozenset[Place]:
    """Attributes that a forward pass has written in the copy (counters, caches): state, by which no program is told apart."""
    out = set[Place]()
    for i, (a, b) in enumerate(zip(ours.modules(), theirs.modules(), strict=True)):
        had = dict(_plain(b))
        out |= {(i, n) for n, v in had.items() if not _alike(vars(a).get(n), v)}
        out |= {(i, n) for n in vars(a) if n not in vars(b)}
    return frozenset(out)


def copied(module: Any, shared: Iterable[Tensor] = ()) -> Any:
    """A deep copy. What layers have computed and keep as attributes (pruning, weight norm, activations) comes along as values;
    tensors that are shared are not copied."""
    made = (v for m in module.modules() for v in vars(m).values() if isinstance(v, Tensor) and not v.is_leaf)
    return copy.deepcopy(module, {id(v): v for v in shared} | {id(v): v.detach().clone() for v in made})


def _dense(module: nn.Module) -> nn.Module:
    """With embeddings that give dense gradients: sparse ones have no second derivative."""
    for m in module.modules():
        if isinstance(m, (nn.Embedding, nn.EmbeddingBag)):
            m.sparse = False
    return module


def private_loss(loss: nn.Module, model: nn.Module, dtype: torch.dtype) -> Any:
    """A loss's copy. One that hides the model in a list or the like goes on reading the model itself, which the gate sees."""
    own = {id(p): n for n, p in model.named_parameters()}
    shared = next((own[id(p)] for p in loss.parameters() if id(p) in own), None)
    if shared is not None:
        raise Misuse(
            f"the loss holds {shared} of the model: J's derivative would miss what it does with it; give that part as "
            f"penalty=lambda p: ... of p[{shared!r}], and the loss without the model"
        )
    return private(loss, dtype, model.parameters())


def private(module: nn.Module, dtype: torch.dtype, shared: Iterable[Tensor] = ()) -> Any:
    """The copy of a model that a cost works on, on the CPU and of one type."""
    try:
        return _dense(copied(module, shared).to(device="cpu", dtype=dtype))
    except (RuntimeError, TypeError, NotImplementedError) as e:
        raise Misuse(
            f"{type(module).__name__} cannot be copied: {e}; jensen works on a copy and never on the model"
        ) from e


def follow(ours: nn.Module, theirs: nn.Module) -> None:
    """Bring a copy's plain attributes to those of what it was copied from; both have the same layers."""
    for a, b in zip(ours.modules(), theirs.modules(), strict=True):
        for name in [n for n, _ in _plain(a) if n not in vars(b)]:
            delattr(a, name)
        for name, value in _plain(b):
            if not _alike(vars(a).get(name), value):
                setattr(a, name, copy.deepcopy(value))
        for name, value in list(vars(b).items()):
            if _is_tensor(value) and not _equal(vars(a).get(name), value):
                setattr(a, name, value.detach().clone())


def same(ours: nn.Module, theirs: nn.Module, what: str = "model", made: str = "cost") -> None:
    """Refuse a model (or loss) whose layers, parameters or buffers are other ones than those of its copy.

    Raises:
        Misuse: With the names of some that are gone, or new.
    """
    for what_of, words in ((_tensors, "parameters or buffers"), (_layers, "layers")):
        had, has = what_of(ours), what_of(theirs)
        if had == has:
            continue
        gone = [n for n in had if had[n] != has.get(n)]
        new = [n for n in has if has[n] != had.get(n)]
        told = "; ".join(f"{word} {', '.join(names[:3])}" for word, names in (("gone", gone), ("new", new)) if names)
        raise Misuse(
            f"the {what}'s {words} changed since the {made} was made ({told}): make the "
            f"{'cost' if made == 'cost' else f'cost and the {made}'} anew after such a change (weight norm, pruning, new layers)"
        )


def _tensors(module: nn.Module) -> dict[str, Any]:
    return {n: tuple(t.shape) for n, t in (*module.named_parameters(), *module.named_buffers())}


def _layers(module: nn.Module) -> dict[str, Any]:
    return {n: type(m) for n, m in module.named_modules()}


def _plain(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Names and values of a layer's attributes that are plain."""
    dense = isinstance(module, (nn.Embedding, nn.EmbeddingBag))  # a copy's gradients are, whatever the model's
    for name, value in list(vars(module).items()):  # another thread may be training
        if name in OWN or (dense and name == "sparse") or isinstance(value, Tensor):
            continue
        if isinstance(value, (float, *SIMPLE)) or _known(value):
            yield name, value


def _known(value: Any) -> bool:
    try:
        _key(value)
    except _Other:
        return False
    return True


def _key(value: Any) -> Hashable:
    """What two equal values have in common; 1, 1.0 and True are three."""
    try:
        return _keyed(value, iter(range(LONG)))
    except RecursionError:
        raise _Other from None


def _keyed(value: Any, room: Iterator[int]) -> Hashable:
    """The same, of up to so many values within values: objects may be large, and lead back to themselves."""
    if next(room, None) is None:
        raise _Other
    if isinstance(value, float):
        return repr(value)  # NaN is like itself
    if isinstance(value, SIMPLE):
        return type(value), value
    if isinstance(value, (np.generic, np.ndarray)) and value.size <= LONG and not value.dtype.hasobject:
        return value.dtype, value.shape, value.tobytes()
    if isinstance(value, Tensor) and _is_tensor(value) and value.layout is torch.strided and value.numel() <= LONG:
        return value.dtype, value.shape, repr(value.tolist())
    if isinstance(value, (dict, list, tuple)) and len(value) > LONG:
        raise _Other
    if isinstance(value, dict):
        return dict, tuple((_keyed(k, room), _keyed(v, room)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), tuple(_keyed(v, room) for v in value)
    if hasattr(value, "__dict__") and not callable(value) and not isinstance(value, (Tensor, type, ModuleType)):
        return type(value), _keyed(vars(value), room)  # a configuration
    raise _Other


def _alike(mine: Any, value: Any) -> bool:
    if mine is value and isinstance(value, SIMPLE):
        return True
    try:
        return _key(mine) == _key(value)
    except _Other:
        return False


def _is_tensor(value: Any) -> bool:
    """Whether this is a tensor of its own with values, and not what a layer has computed from its parameters."""
    return type(value) is Tensor and value.is_leaf and not value.requires_grad and not value.is_meta


def _equal(mine: Any, value: Tensor) -> bool:
    if type(mine) is not Tensor or (mine.shape, mine.dtype) != (value.shape, value.dtype):
        return False
    if mine.device != value.device or mine.layout != value.layout:
        return False
    if value.layout is torch.strided:
        return torch.equal(mine, value)
    a, b = (t.to_sparse_coo().coalesce() for t in (mine, value))
    return torch.equal(a.indices(), b.indices()) and torch.equal(a.values(), b.values())
