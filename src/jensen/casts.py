"""Casts between float types are the identity in J, so the cost is run as if every float had the cost's own type.

A mode for torch functions: float tensors of other types that meet the computation (literals, closures, attributes) are
taken exactly into the cost's type, and ``.float()``, ``.to(torch.bfloat16)`` and their like return their input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

RMS = {torch.rms_norm, torch.nn.functional.rms_norm}
CASTS = {torch.Tensor.float, torch.Tensor.double, torch.Tensor.half, torch.Tensor.bfloat16}
TARGETED = {torch.Tensor.to, torch.Tensor.type}


class OneFloatType(TorchFunctionMode):
    """All float arithmetic in one type.

    Args:
        dtype: That type.
        own: The model's own: RMS norms without an ``eps`` take that of their input's type, and this is it. Halves are summed
            in float32.
    """

    def __init__(self, dtype: torch.dtype, own: torch.dtype | None = None):
        super().__init__()
        self.dtype = dtype
        self.eps = torch.finfo(torch.float32 if own in (torch.half, torch.bfloat16) else own or dtype).eps

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in CASTS or (func in TARGETED and any(_is_float(a) for a in (*args[1:], *kwargs.values()))):
            x = args[0]
            return self.cast(x) if x.is_floating_point() else x.to(self.dtype)
        if _is_float(kwargs.get("dtype")):
            kwargs["dtype"] = self.dtype
        if func in RMS and args[3:4] in ((), (None,)) and kwargs.get("eps") is None:
            args, kwargs = args[:3], {**kwargs, "eps": self.eps}
        if not _computes(func):
            return func(*args, **kwargs)
        args, kwargs = pytree.tree_map(self.cast, (args, kwargs))
        return pytree.tree_map(self.cast, func(*args, **kwargs))

    def cast(self, x: Any) -> Any:
        """A float tensor in the one type; anything else unchanged."""
        if isinstance(x, torch.Tensor) and x.is_floating_point() and x.dtype != self.dtype:
            return x.to(self.dtype)
        return x


def _is_float(a: Any) -> bool:
    return isinstance(a, torch.dtype) and a.is_floating_point


def _computes(func: Callable[..., Any]) -> bool:
    """Whether a function works on values; attribute access and in-place bookkeeping are left alone."""
    return getattr(func, "__name__", "") not in ("__get__", "__set__", "requires_grad_", "detach_", "is_floating_point")
