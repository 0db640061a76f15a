"""Bounded increasing activations and their relatives."""

from __future__ import annotations

from math import inf
from typing import Any

from jensen.atoms.registry import ODD, Nature, nature, row
from jensen.atoms.rows import Row

HALVES = ((-inf, 0.0, 1),), ((0.0, inf, 1),)
UP = ((-inf, inf, 2),)
WHOLE = ((-inf, inf, 1),)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), tight on both sides."""
    return 1 / (1 + (-x).exp()) if x > 0 or x.mid() > 0 else x.exp() / (1 + x.exp())


def log_sigmoid(x: Any) -> Any:
    """-log(1 + exp(-x)), tight on both sides."""
    return -(-x).exp().log1p() if x > 0 or x.mid() > 0 else x - x.exp().log1p()


def _softsign(x: Any) -> Any:
    """x / (1 + |x|), from its ends: it is increasing."""
    return (
        x / (1 + abs(x)) if x.is_exact() else (x.lower() / (1 + abs(x.lower()))).union(x.upper() / (1 + abs(x.upper())))
    )


row(
    "aten.tanh.default",
    lambda: Row(lambda x: x.tanh(), UP, *HALVES, limits=(-1.0, 1.0), bounds=(-1.0, 1.0, True, True)),
)
row(
    "aten.sigmoid.default",
    lambda: Row(
        sigmoid,
        UP,
        ((-inf, 0.0, 1),),
        ((0.0, inf, 1), (-inf, inf, 0)),
        limits=(0.0, 1.0),
        bounds=(0.0, 1.0, True, True),
    ),
)
row(
    "aten.log_sigmoid.default",
    lambda: Row(log_sigmoid, UP, (), WHOLE, limits=(-inf, 0.0), bounds=(-inf, 0.0, True, True)),
)
row("jensen.softsign", lambda: Row(_softsign, UP, *HALVES, limits=(-1.0, 1.0), bounds=(-1.0, 1.0, True, True)))
row("jensen.tanhshrink", lambda: Row(lambda x: x - x.tanh(), UP, ((0.0, inf, 1),), ((-inf, 0.0, 1),)))


def _logit(eps: Any = None) -> Row:
    """log(x / (1 - x)); bounds on x are a clamp of their own in programs."""
    if eps is not None:
        raise ValueError("logit with eps is a clamp and a logit")
    domain = (0.0, 1.0, True, True)
    ends = (-inf, inf)
    return Row(lambda x: x.log() - (1 - x).log(), ((0.0, 1.0, 2),), ((0.5, 1.0, 1),), ((0.0, 0.5, 1),), domain, ends)


row("aten.logit.default", _logit)
for _op in ("aten.tanh.default", "jensen.softsign", "jensen.tanhshrink"):
    nature(_op, ODD)
nature("aten.sigmoid.default", Nature(flip=1.0))
