"""What a model holds beside its parameters and buffers: its layers, and numbers, words, functions and tensors as plain attributes.

A cost works on a copy of the model. The copy follows these too, so that J is always that of the model as it is; a model that
has become another one (a layer exchanged, a parameter added) is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Hashable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, fx, nn

from jensen.errors import Misuse
from jensen.keys import fixed, harness, key

OWN = frozenset(vars(nn.Module())) | {"_compiled_call_impl"}  # of every module
FORWARD = "forward"  # of the whole model: trainers put one of theirs in its place
NOTHING = object()  # what is not there

Place = tuple[int, str]  # an attribute: its layer's number, and its name
Seen = dict[Place, tuple[Hashable, Hashable]]  # how a value and its copy are known, where that is not the same


def attributes(module: nn.Module, but: Collection[Place] = ()) -> tuple[Hashable, ...]:
    """The plain values of all layers but some; tensors are left out: these are known by what J is."""
    own = _own(module)
    places = ((i, n, v) for i, m in enumerate(module.modules()) for n, v in _plain(i, m))
    return tuple((i, n, key(v, own)) for i, n, v in places if (i, n) not in but and not isinstance(v, Tensor))


def start(ours: nn.Module, theirs: nn.Module) -> Seen:
    """How a new copy's values are known, where those that were copied are known otherwise."""
    seen, own_a, own_b = Seen(), _own(ours), _own(theirs)
    for i, (a, b) in enumerate(zip(ours.modules(), theirs.modules(), strict=True)):
        mine = vars(a)
        for name, value in _plain(i, b):
            if name in mine and not isinstance(value, Tensor):
                pair = key(value, own_b), key(mine[name], own_a)
                if pair[0] != pair[1]:
                    seen[i, name] = pair
    return seen


def written(ours: nn.Module, theirs: nn.Module, seen: Seen) -> frozenset[Place]:
    """Attributes that a forward pass has written in the copy (counters, caches): state, by which no program is told apart."""
    out, own_a, own_b = set[Place](), _own(ours), _own(theirs)
    for i, (a, b) in enumerate(zip(ours.modules(), theirs.modules(), strict=True)):
        mine = vars(a)
        for name, value in _plain(i, b):
            if not isinstance(value, Tensor):
                was = seen[i, name][1] if (i, name) in seen else key(value, own_b)
                out |= {(i, name)} if name not in mine or key(mine[name], own_a) != was else set()
        out |= {(i, n) for n in mine.keys() - vars(b).keys()}
    return frozenset(out)


def bring(
    ours: nn.Module,
    theirs: nn.Module,
    seen: Seen,
    held: Mapping[str, Tensor] | None = None,
    what: str = "model",
    made: str = "cost",
) -> None:
    """Bring a copy to the parameters, buffers and plain attributes of what it was copied from.

    What is equal is not written to, so that programs traced from the copy stay valid.

    Args:
        ours, theirs: The copy, which may be of another type and on another device, and the original.
        seen: What ``start`` gave, or an empty dict; it is written to.
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
    follow(ours, theirs, seen)


def _copy(ours: Tensor, theirs: Tensor) -> None:
    theirs = theirs.detach().to(device=ours.device, dtype=ours.dtype)
    if not torch.equal(ours, theirs):
        ours.copy_(theirs)


def follow(ours: nn.Module, theirs: nn.Module, seen: Seen) -> None:
    """Bring a copy's plain attributes to those of what it was copied from; both have the same layers.

    Objects whose values cannot be compared are copied again when they are exchanged for others.
    """
    twins, own = dict[int, Any](), tuple[frozenset[int], ...]()
    for i, (a, b) in enumerate(zip(ours.modules(), theirs.modules(), strict=True)):
        had, has = vars(a), dict(vars(b))  # another thread may be training
        for name in had.keys() - has.keys() - OWN:
            if not isinstance(had[name], Tensor):
                delattr(a, name)
        for name, value in _plain(i, b, has):
            mine = had.get(name, NOTHING)
            if isinstance(value, Tensor):
                if not value.is_meta and not _equal(mine, value):
                    setattr(a, name, value.detach().clone())
            elif not (mine is value and fixed(value)):
                own = own or (_own(theirs), _own(ours))
                pair = key(value, own[0]), key(mine, own[1])
                if pair[0] != pair[1] and seen.get((i, name)) != pair:
                    twins = twins or _twins(ours, theirs)
                    setattr(a, name, _copied(name, value, twins))
                    seen[i, name] = pair[0], key(vars(a)[name], own[1])


def _own(module: nn.Module) -> frozenset[int]:
    """The ids of layers, parameters and buffers."""
    return frozenset(map(id, (*module.modules(), *module.parameters(), *module.buffers())))


def _twins(ours: nn.Module, theirs: nn.Module) -> dict[int, Any]:
    """What stands in a copy for a layer or a tensor of the original."""
    pairs = [
        *zip(theirs.modules(), ours.modules(), strict=True),
        *zip(theirs.parameters(), ours.parameters(), strict=True),
        *zip(theirs.buffers(), ours.buffers(), strict=True),
    ]
    return {id(b): a for b, a in pairs}


def _copied(name: str, value: Any, twins: dict[int, Any]) -> Any:
    try:
        return copy.deepcopy(value, twins)
    except Exception as e:  # an object may raise anything
        text = " ".join(str(e).split())[:200]
        raise Misuse(
            f"the attribute {name!r} has changed and cannot be copied ({type(e).__name__}: {text}): make the cost anew"
        ) from e


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


def _built(module: nn.Module) -> Iterator[Any]:
    """What tells whether two models are built alike: layers, and which tensor is held where."""
    numbers: dict[int, int] = {}
    for name, layer in module.named_modules():
        tensors = (*layer._parameters.items(), *layer._buffers.items())
        yield (
            name,
            _kind(layer),
            [(n, t.shape, numbers.setdefault(id(t), len(numbers))) for n, t in tensors if t is not None],
        )


def _tensors(module: nn.Module) -> dict[str, Any]:
    return {n: tuple(t.shape) for n, t in (*module.named_parameters(), *module.named_buffers())}


def _layers(module: nn.Module) -> dict[str, Any]:
    return {n: _kind(m) for n, m in module.named_modules()}


def _kind(layer: nn.Module) -> tuple[str, str]:
    """A layer's type by its name; a copy of a traced graph has a class of its own, of another name."""
    if isinstance(layer, fx.GraphModule):
        return "torch.fx", "GraphModule"
    return type(layer).__module__, type(layer).__qualname__


def _plain(i: int, module: nn.Module, has: Mapping[str, Any] | None = None) -> list[tuple[str, Any]]:
    """Names and values of the attributes of the i-th layer."""
    has = dict(vars(module)) if has is None else has
    dense = isinstance(module, (nn.Embedding, nn.EmbeddingBag))  # a copy's gradients are, whatever the model's
    but = {FORWARD if i == 0 else "", "sparse" if dense else ""}
    return [(n, v) for n, v in has.items() if n not in OWN and n not in but and not harness(v)]


def _equal(mine: Any, value: Tensor) -> bool:
    if type(mine) is not Tensor or (mine.shape, mine.dtype) != (value.shape, value.dtype):
        return False
    if mine.device != value.device or mine.layout != value.layout:
        return False
    if value.layout is torch.strided:
        return torch.equal(mine, value)
    a, b = (t.to_sparse_coo().coalesce() for t in (mine, value))
    return torch.equal(a.indices(), b.indices()) and torch.equal(a.values(), b.values())
