"""What two equal values have in common: how a plain attribute of a model is known again after it may have changed."""

from __future__ import annotations

import logging
import zlib
from collections import deque
from collections.abc import Hashable, Iterable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LONG = 100_000  # entries of a list or dict of numbers and words; longer ones are known by being themselves
MANY = 1_000  # values within values; what leads to more is known by being itself
ATOMS = (type(None), bool, int, float, complex, str, bytes)
FLAT = frozenset(ATOMS)
FIXED = (
    *ATOMS, Fraction, Decimal, range, torch.dtype, torch.device, torch.layout, torch.memory_format, FunctionType,
    BuiltinFunctionType, type, ModuleType, Enum,
)  # fmt: skip
THEMSELVES = (logging.Logger, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, torch.Generator)


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


def key(value: Any) -> Hashable:
    """The same for equal values of one type, also where objects lead to each other; 1, 1.0 and True are three, NaN is one."""
    try:
        return _key(value, {})
    except (_TooMany, RecursionError):
        return Same(value)


def checksum(t: Tensor) -> int:
    """Of a tensor's values."""
    data = t.detach().cpu().contiguous().reshape(-1)
    return zlib.crc32(data.view(torch.uint8).numpy().data) if data.numel() else 0


def _key(value: Any, seen: dict[int, int]) -> Hashable:
    if isinstance(value, (float, complex)):
        return type(value), repr(value)
    if isinstance(value, FIXED):
        return type(value), value
    if id(value) in seen:
        return "seen", seen[id(value)]
    if len(seen) >= MANY:
        raise _TooMany
    seen[id(value)] = len(seen)
    if isinstance(value, THEMSELVES):
        return Same(value)
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        return _array(value)
    if isinstance(value, (dict, list, tuple, deque, set, frozenset)):
        return type(value), _container(value, seen)
    if isinstance(value, partial):
        return partial, tuple(_key(v, seen) for v in (value.func, value.args, value.keywords))
    if isinstance(value, MethodType):
        return MethodType, value.__func__, _owner(value.__self__, seen)
    return _object(value, seen)


def _array(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        known = type(value) in (Tensor, nn.Parameter) and value.layout is torch.strided and not value.is_meta
        return (value.dtype, value.shape, value.device, checksum(value)) if known else Same(value)
    return Same(value) if value.dtype.hasobject else (value.dtype, value.shape, zlib.crc32(value.tobytes()))


def _container(value: Any, seen: dict[int, int]) -> Hashable:
    if len(value) > LONG:
        return Same(value)
    items = (*value, *value.values()) if isinstance(value, dict) else tuple(value)
    kinds = tuple(map(type, items))
    if FLAT.issuperset(kinds):
        found: Iterable[Hashable] = map(repr, items) if {float, complex} & set(kinds) else items
        each = zip(kinds, found, strict=True)
    else:
        each = (_key(v, seen) for v in items)
    return frozenset(each) if isinstance(value, (set, frozenset)) else tuple(each)


def _owner(value: Any, seen: dict[int, int]) -> Hashable:
    """Of an object whose method this is: a layer's own attributes are followed by themselves."""
    return Same(value) if isinstance(value, nn.Module) else _key(value, seen)


def _object(value: Any, seen: dict[int, int]) -> Hashable:
    """Any other object: its type and what it holds."""
    slots = [n for kind in type(value).__mro__ for n in _names(getattr(kind, "__slots__", ()))]
    held = {n: getattr(value, n) for n in slots if n not in ("__dict__", "__weakref__") and hasattr(value, n)}
    held |= getattr(value, "__dict__", {})
    if not held and not hasattr(value, "__dict__") and not slots:
        return Same(value)
    return type(value), _container(held, seen)


def _names(slots: Any) -> Iterable[str]:
    return (slots,) if isinstance(slots, str) else slots
