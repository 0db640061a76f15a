"""Normal forms of functions: aliases, and forms that are a simple function of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

aten = torch.ops.aten
SELU = (1.6732632423543772, 1.0507009873554805)  # the two constants that torch documents, as floats


def _identity(b: Any, x: Any, *rest: Any, **kw: Any) -> Any:
    return x


def _renamed(op: str, n: int | None = None) -> Callable[..., Any]:
    return lambda b, *args, **kw: b.emit(op, *args[:n])


def _logit(b: Any, x: Any, eps: Any = None) -> Any:
    """With eps, torch clamps to [eps, 1 - eps] first."""
    if eps is not None and 0 <= eps <= 0.5:
        x = b.emit("aten.clamp.default", x, eps, 1.0 - eps)
    return b.emit("aten.logit.default", x, *(() if eps is None or 0 <= eps <= 0.5 else (eps,)))


def _clamp_tensors(b: Any, x: Any, lo: Any = None, hi: Any = None) -> Any:
    x = x if lo is None else b.emit("aten.maximum.default", x, lo)
    return x if hi is None else b.emit("aten.minimum.default", x, hi)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    aten.selu.default: lambda b, x: b.emit("aten.elu.default", x, *SELU),
    aten.logit.default: _logit, aten.special_logit.default: _logit,
    aten.clamp.Tensor: _clamp_tensors,
    aten.clamp_min.Tensor: _renamed("aten.maximum.default"), aten.clamp_max.Tensor: _renamed("aten.minimum.default"),
    aten.fmax.default: _renamed("aten.maximum.default"), aten.fmin.default: _renamed("aten.minimum.default"),
    aten.nan_to_num.default: _identity, aten.special_xlogy.default: _renamed("aten.xlogy.Tensor"),
    aten.special_expit.default: _renamed("aten.sigmoid.default"), aten.special_erf.default: _renamed("aten.erf.default"),
    aten.special_erfc.default: _renamed("aten.erfc.default"), aten.special_exp2.default: _renamed("aten.exp2.default"),
    aten.special_expm1.default: _renamed("aten.expm1.default"), aten.special_log1p.default: _renamed("aten.log1p.default"),
    aten.special_gammaln.default: _renamed("aten.lgamma.default"), aten.special_psi.default: _renamed("aten.digamma.default"),
    aten.special_erfinv.default: _renamed("aten.erfinv.default"), aten.special_i0.default: _renamed("aten.i0.default"),
    aten.special_sinc.default: _renamed("aten.sinc.default"), aten.special_round.default: _renamed("aten.round.default", 1),
}  # fmt: skip
