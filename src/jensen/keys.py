"""What two equal values have in common: how a plain attribute of a model is known again after it may have changed."""

from __future__ import annotations

import logging
import zlib
from collections import deque
from collections.abc import Collection, Hashable, Iterable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.utils.hooks import RemovableHandle

LONG = 100_000  # entries of a list or dict of numbers and words; longer ones are known by being themselves
MANY = 1_000  # values within values; what leads to more is known by being itself
ATOMS = (type(None), bool, int, float, complex, str, bytes)
FLAT = frozenset(ATOMS)
FIXED = (
    *ATOMS, Fraction, Decimal, range, torch.dtype, torch.device, torch.layout, torch.memory_format, FunctionType,
    BuiltinFunctionType, type, ModuleType, Enum,
)  # fmt: skip
HARNESSES = frozenset(("lightning", "pytorch_lightning", "lightning_fabric"))
THEMSELVES = (logging.Logger, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.Generator)


def harness(value: Any) -> bool:
    """Whether this is Lightning's trainer or the like, which a module in training leads to: no part of what it computes."""
    if isinstance(value, (*ATOMS, Tensor, dict, list, tuple)):
        return False
    kinds = ((k.__module__.split(".")[0], k.__name__) for k in type(value).__mro__)
    return any(home in HARNESSES and name in ("Trainer", "Fabric") for home, name in kinds)


class Same:
    """An object that is known by being itself; what changes within it is not seen."""

    __slots__ = ("it",)

    def __init__(self, it: Any):
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.it is other.it

    def __hash__(self) -> int:
        return id(self.it)


class _TooMany(Exception):
    """A value leads to too many others."""


def fixed(value: Any) -> bool:
    """Whether this object cannot become another value."""
    return isinstance(value, FIXED) or (type(value) is tuple and all(map(fixed, value)))


def key(value: Any, own: Collection[int] = ()) -> Hashable:
    """The same for equal values of one type, also where objects lead to each other; 1, 1.0 and True are three, NaN is one.

    Args:
        value: Anything.
        own: The ids of what is known by being itself: a model's layers, parameters and buffers, which are followed by themselves.
    """
    if isinstance(value, FIXED):
        return _atom(value)
    try:
        return _Keys(own).of(value)
    except (_TooMany, RecursionError):
        return Same(value)


def checksum(t: Tensor) -> int:
    """Of a tensor's values."""
    data = t.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(data.view(torch.uint8).numpy().data) if data.numel() else 0


class _Keys:
    """The keys of one value and of those within it."""

    def __init__(self, own: Collection[int]):
        self.own, self.seen = own, dict[int, int]()

    def of(self, value: Any) -> Hashable:
        if isinstance(value, FIXED):
            return _atom(value)
        if id(value) in self.seen:
            return "seen", self.seen[id(value)]
        if len(self.seen) >= MANY:
            raise _TooMany
        self.seen[id(value)] = len(self.seen)
        if isinstance(value, RemovableHandle):  # of a hook, which is no part of the value; a copy's leads nowhere
            return RemovableHandle
        if id(value) in self.own or isinstance(value, THEMSELVES):
            return Same(value)
        if isinstance(value, (Tensor, np.ndarray, np.generic)):
            return _array(value)
        if isinstance(value, fx.Graph):  # it keeps count of what is done with it
            return fx.Graph, str(value)
        if isinstance(value, (dict, list, tuple, deque, set, frozenset)):
            return type(value), self._held(value)
        if isinstance(value, partial):
            return partial, tuple(self.of(v) for v in (value.func, value.args, value.keywords))
        if isinstance(value, MethodType):
            return MethodType, value.__func__, self.of(value.__self__)
        return self._object(value)

    def _held(self, value: Any) -> Hashable:
        """Of a container."""
        if len(value) > LONG:
            return Same(value)
        items = (*value, *value.values()) if isinstance(value, dict) else tuple(value)
        kinds = tuple(map(type, items))
        if FLAT.issuperset(kinds):
            found: Iterable[Hashable] = map(repr, items) if {float, complex} & set(kinds) else items
            each = zip(kinds, found, strict=True)
        else:
            each = map(self.of, items)
        return frozenset(each) if isinstance(value, (set, frozenset)) else tuple(each)

    def _object(self, value: Any) -> Hashable:
        """Of any other object: its type and what it holds."""
        slots = [n for kind in type(value).__mro__ for n in _names(getattr(kind, "__slots__", ()))]
        held = {n: getattr(value, n) for n in slots if n not in ("__dict__", "__weakref__") and hasattr(value, n)}
        held |= getattr(value, "__dict__", {})
        if not held and not hasattr(value, "__dict__") and not slots:
            return Same(value)
        return type(value), self._held(held)


def _atom(value: Any) -> Hashable:
    return type(value), repr(value) if isinstance(value, (float, complex)) else value


def _array(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        known = type(value) in (Tensor, nn.Parameter) and value.layout is torch.strided and not value.is_meta
        return (value.dtype, value.shape, value.device, checksum(value)) if known else Same(value)
    return Same(value) if value.dtype.hasobject else (value.dtype, value.shape, zlib.crc32(value.tobytes()))


def _names(slots: Any) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots
