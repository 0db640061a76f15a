"""What a model holds beside its parameters and buffers: its layers, and numbers, words, functions and tensors as plain attributes.

A cost works on a copy of the model. The copy follows these too, so that J is always that of the model as it is; a model that
has become another one (a layer exchanged, a parameter added) is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from itertools import zip_longest
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jensen.errors import Misuse

OWN = frozenset(vars(nn.Module())) | {"forward"}  # of every module; trainers put a forward of theirs in its place
LONG = 1_000  # entries, and values within values; a vocabulary is not followed, nor a large array
SIMPLE = (type(None), bool, int, str, bytes, torch.dtype, torch.device, FunctionType, BuiltinFunctionType)
NOTHING = object()  # the key of an attribute that is not there


Place = tuple[int, str]  # an attribute: its layer's number, and its name


class _Other(Exception):
    """A value of another kind, which is not followed."""


def attributes(module: nn.Module, but: Collection[Place] = ()) -> tuple[Hashable, ...]:
    """The plain values of all layers but some; tensors are left out: these are known by what J is."""
    keys = ((i, n, key) for i, m in enumerate(module.modules()) for n, key in _plain(m).items())
    return tuple((i, n, key) for i, n, key in keys if (i, n) not in but)


def written(ours: nn.Module, theirs: nn.Module) -> frozenset[Place]:
    """Attributes that a forward pass has written in the copy (counters, caches): state, by which no program is told apart."""
    out = set[Place]()
    for i, (a, b) in enumerate(zip(ours.modules(), theirs.modules(), strict=True)):
        has = _plain(a)
        out |= {(i, n) for n, key in _plain(b).items() if has.get(n, NOTHING) != key}
        out |= {(i, n) for n in vars(a) if n not in vars(b)}
    return frozenset(out)


def bring(
    ours: nn.Module,
    theirs: nn.Module,
    held: Mapping[str, Tensor] | None = None,
    what: str = "model",
    made: str = "cost",
) -> None:
    """Bring a copy to the parameters, buffers and plain attributes of what it was copied from.

    What is equal is not written to, so that programs traced from the copy stay valid.

    Args:
        ours, theirs: The copy, which may be of another type and on another device, and the original.
        held: Values of buffers, in place of the original's.
        what, made: What this is, and what was made of it, for the error.

    Raises:
        Misuse: Where the two no longer have the same layers, parameters and buffers.
    """
    same(ours, theirs, what, made)
    with torch.no_grad():
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            _copy(a, b)
        for a, (name, b) in zip(ours.buffers(), theirs.named_buffers(), strict=True):
            _copy(a, (held or {}).get(name, b))
    follow(ours, theirs)


def _copy(ours: Tensor, theirs: Tensor) -> None:
    theirs = theirs.detach().to(device=ours.device, dtype=ours.dtype)
    if not torch.equal(ours, theirs):
        ours.copy_(theirs)


def follow(ours: nn.Module, theirs: nn.Module) -> None:
    """Bring a copy's plain attributes to those of what it was copied from; both have the same layers."""
    for a, b in zip(ours.modules(), theirs.modules(), strict=True):
        had, has = vars(a), dict(vars(b))  # another thread may be training
        if gone := had.keys() - has.keys():
            for name in _plain(a, gone):
                delattr(a, name)
        left = [n for n in has.keys() - OWN if not (had.get(n, NOTHING) is has[n] and _fixed(has[n]))]
        if not left:
            continue
        mine = _plain(a, left)
        for name, key in _plain(b, left).items():
            if mine.get(name, NOTHING) != key:
                setattr(a, name, copy.deepcopy(has[name]))
        for name in left:
            value = has[name]
            if isinstance(value, Tensor) and _is_tensor(value) and not _equal(had.get(name), value):
                setattr(a, name, value.detach().clone())


def same(ours: nn.Module, theirs: nn.Module, what: str = "model", made: str = "cost") -> None:
    """Refuse a model (or loss) whose layers, parameters or buffers are other ones than those of its copy.

    Raises:
        Misuse: With the names of some that are gone, or new.
    """
    if all(a == b for a, b in zip_longest(_built(ours), _built(theirs))):
        return
    words, told = _change(ours, theirs)
    raise Misuse(
        f"the {what}'s {words} changed since the {made} was made ({told}): make the "
        f"{'cost' if made == 'cost' else f'cost and the {made}'} anew after such a change (weight norm, pruning, new layers)"
    )


def _change(ours: nn.Module, theirs: nn.Module) -> tuple[str, str]:
    """What changed, and some names."""
    for what_of, words in ((_tensors, "parameters or buffers"), (_layers, "layers")):
        had, has = what_of(ours), what_of(theirs)
        gone = [n for n in had if had[n] != has.get(n)]
        new = [n for n in has if has[n] != had.get(n)]
        if gone or new:
            told = (f"{word} {', '.join(names[:3])}" for word, names in (("gone", gone), ("new", new)) if names)
            return words, "; ".join(told)
    return "layers", "they come in another order, or share other tensors"


def _fixed(value: Any) -> bool:
    """Whether this object cannot become another value."""
    return isinstance(value, (float, *SIMPLE)) or (type(value) is tuple and all(map(_fixed, value)))


def _built(module: nn.Module) -> Iterator[Any]:
    """What tells whether two models are built alike: layers, and which tensor is held where."""
    numbers: dict[int, int] = {}
    for name, layer in module.named_modules():
        tensors = (*layer._parameters.items(), *layer._buffers.items())
        yield (
            name,
            type(layer),
            [(n, t.shape, numbers.setdefault(id(t), len(numbers))) for n, t in tensors if t is not None],
        )


def _tensors(module: nn.Module) -> dict[str, Any]:
    return {n: tuple(t.shape) for n, t in (*module.named_parameters(), *module.named_buffers())}


def _layers(module: nn.Module) -> dict[str, Any]:
    return {n: type(m) for n, m in module.named_modules()}


def _plain(module: nn.Module, names: Iterable[str] | None = None) -> dict[str, Hashable]:
    """A layer's attributes that are plain, all or some of them: what each has in common with equal ones."""
    dense = isinstance(module, (nn.Embedding, nn.EmbeddingBag))  # a copy's gradients are, whatever the model's
    out, has = {}, vars(module)
    for name in list(has) if names is None else names:  # another thread may be training
        value = has.get(name, NOTHING)
        if name in OWN or (dense and name == "sparse") or isinstance(value, Tensor):
            continue
        try:
            out[name] = _keyed(value, iter(range(LONG)))
        except (_Other, RecursionError):
            continue
    return out


def _keyed(value: Any, room: Iterator[int]) -> Hashable:
    """What two equal values have in common, of up to so many values within values: objects may be large, and lead back to
    themselves. 1, 1.0 and True are three."""
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
