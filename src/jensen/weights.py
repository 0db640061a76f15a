"""The share of a chunk of data in the full-data cost, exactly."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from jensen.errors import Misuse
from jensen.given import share
from jensen.keys import checksum

CLASS_LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss)
ELEMENTS = (
    nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.PoissonNLLLoss,
    nn.SoftMarginLoss, nn.KLDivLoss, nn.HingeEmbeddingLoss, nn.GaussianNLLLoss,
)  # fmt: skip


def reduction_of(loss: Any, reduction: str) -> str:
    """How the loss reduces inside a chunk: its own word where it has one, else the caller's."""
    if reduction not in ("mean", "sum"):
        raise Misuse(f"reduction={reduction!r}: a cost is one number; use 'mean' or 'sum'")
    own = getattr(loss, "reduction", None)
    if own == "none":
        raise Misuse(f"{type(loss).__name__}(reduction='none') returns no single number; use 'mean' or 'sum'")
    if own == "batchmean":
        return "mean"
    return own if own in ("mean", "sum") else reduction


def weighing(loss: Any) -> tuple[Any, ...]:
    """By what a loss decides how much a chunk counts, in a form that can be compared: the shares are computed once."""
    if not isinstance(loss, CLASS_LOSSES):
        return (getattr(loss, "reduction", None),)
    return loss.reduction, loss.ignore_index, None if loss.weight is None else checksum(loss.weight)


def rows(x: Any) -> int:
    """Number of data points: the first axis of the first tensor."""
    tensors = [t for t in pytree.tree_leaves(x) if isinstance(t, torch.Tensor)]
    if not tensors:
        raise Misuse("the data holds no tensor; give (x, y) tensors, or a DataLoader that yields them")
    if tensors[0].dim() == 0:
        return 1
    return int(tensors[0].shape[0])


def chunk_weight(loss: Any, reduction: str, weight: Callable[..., Any] | None, x: Any, y: Any) -> Fraction:
    """What a chunk's loss is multiplied with before the sum is divided by the sum of weights (for means)."""
    if weight is not None:
        return share(weight, x, y)
    if reduction == "sum":
        return Fraction(1)
    known = counted(loss, y)
    return Fraction(rows(y if pytree.tree_leaves(y) and _has_rows(y) else x)) if known is None else known


def counted(loss: Any, y: Any) -> Fraction | None:
    """What the mean of one of torch's losses is over, for a chunk's targets; None where nothing but rows is known."""
    if _is_torch_s(loss, (nn.CTCLoss,)) and isinstance(y, (tuple, list)) and len(y) == 3:
        return Fraction(len(pytree.tree_leaves(y[2])) if isinstance(y[2], (tuple, list)) else y[2].numel())
    if not isinstance(y, torch.Tensor):
        return None
    if isinstance(loss, CLASS_LOSSES) and (_is_torch_s(loss, CLASS_LOSSES) or _wraps(loss, y)):
        classes = y.shape[min(1, y.dim() - 1)] if y.is_floating_point() else 1  # probabilities of classes
        return Fraction(y.numel(), classes) if y.is_floating_point() else _class_weight(loss, y)
    if _is_torch_s(loss, ELEMENTS) and loss.reduction == "mean":
        return Fraction(y.numel())
    return None


def _is_torch_s(loss: Any, kinds: tuple[type, ...]) -> bool:
    """Whether a loss is one of these as torch computes it; a subclass may take its mean over something else."""
    return any(isinstance(loss, kind) and type(loss).forward is kind.forward for kind in kinds)  # pyright: ignore[reportFunctionMemberAccess, reportAttributeAccessIssue]


def _wraps(loss: Any, y: torch.Tensor) -> bool:
    """Whether a subclass gives what torch's loss does, tried on random scores and classes, one of them ignored."""
    if y.is_floating_point() or y.dim() == 0:
        return False
    kind: Any = next(k for k in CLASS_LOSSES if isinstance(loss, k))
    classes = 8 if loss.weight is None else loss.weight.numel()
    dtype = torch.float64 if loss.weight is None else loss.weight.dtype
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, classes, *y.shape[1:], generator=generator, dtype=dtype)
    targets = torch.randint(classes, (6, *y.shape[1:]), generator=generator)
    targets[0] = loss.ignore_index
    try:
        with torch.no_grad():
            own, base = copy.deepcopy(loss)(scores, targets), kind.forward(loss, scores, targets)
        return bool(torch.isclose(own, base, rtol=1e-5).all())
    except Exception:  # the user's code may raise anything, and return anything
        return False


def _has_rows(y: Any) -> bool:
    return any(isinstance(t, torch.Tensor) and t.dim() > 0 for t in pytree.tree_leaves(y))


def _class_weight(loss: Any, y: torch.Tensor) -> Fraction:
    kept = y[y != loss.ignore_index].flatten()
    if loss.weight is None:
        return Fraction(int(kept.numel()))
    counts = torch.bincount(kept, minlength=loss.weight.numel()).tolist()
    weights = loss.weight.detach().double().tolist()
    return sum((n * Fraction(w) for n, w in zip(counts, weights, strict=True)), Fraction(0))
