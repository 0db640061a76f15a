"""Losses of margins and distances: sums of relu(margin - difference), masked by constant targets.

Masks are factors of zeros and ones, so that the rules see a non-negative constant times a convex term.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import _reduction as _Reduction

from jensen.lower.losses import reduce as _reduce
from jensen.lower.table import lower, substitute

aten = torch.ops.aten
COSINE_EPS = 1e-12  # added to squared norms in torch's cosine_embedding_loss


@lower(aten.margin_ranking_loss.default)
def margin_ranking_loss(x1: Tensor, x2: Tensor, y: Tensor, margin: float = 0.0, reduction: int = 1) -> Tensor:
    return _reduce(F.relu(margin - y * (x1 - x2)), reduction)


@lower(aten.hinge_embedding_loss.default)
def hinge_embedding_loss(x: Tensor, y: Tensor, margin: float = 1.0, reduction: int = 1) -> Tensor:
    far, near = (y != 1).to(x.dtype), (y != -1).to(x.dtype)
    return _reduce(far * F.relu(margin - x) + near * x, reduction)


@substitute
def multi_margin_loss(
    input: Tensor, target: Tensor, p: float = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """torch.export takes the operation itself apart, into comparisons."""
    if size_average is not None or reduce is not None:
        reduction = _Reduction.legacy_get_string(size_average, reduce, False)
    return _multi_margin(input, target, p, margin, weight, _Reduction.get_enum(reduction))


def _multi_margin(x: Tensor, y: Tensor, p: float, margin: float, weight: Tensor | None, reduction: int) -> Tensor:
    rows, target = (x, y) if x.dim() > 1 else (x.unsqueeze(0), y.reshape(1))
    classes = rows.shape[1]
    gap = F.relu(float(margin) - rows.gather(1, target.unsqueeze(1)) + rows)
    gap = gap if p == 1 else gap.pow(p)
    mask = (torch.arange(classes) != target.unsqueeze(1)).to(x.dtype)
    mask = mask if weight is None else mask * weight[target].unsqueeze(1)
    out = (mask * gap).sum(1) / classes
    return _reduce(out if x.dim() > 1 else out.reshape(()), reduction)


@lower(aten.multilabel_margin_loss.default)
def multilabel_margin_loss(x: Tensor, y: Tensor, reduction: int = 1) -> Tensor:
    """Labels stand before the first negative entry of a row."""
    rows, target = (x, y) if x.dim() > 1 else (x.reshape(1, -1), y.reshape(1, -1))
    classes = rows.shape[1]
    valid = (target >= 0).to(torch.int64).cumprod(1) == 1
    safe = torch.where(valid, target, torch.zeros_like(target))
    labels = ((safe.unsqueeze(2) == torch.arange(classes)) & valid.unsqueeze(2)).any(1)
    mask = (valid.unsqueeze(2) & ~labels.unsqueeze(1)).to(x.dtype)
    gap = F.relu(1 - rows.gather(1, safe).unsqueeze(2) + rows.unsqueeze(1))
    out = (mask * gap).sum([1, 2]) / classes
    return _reduce(out if x.dim() > 1 else out.reshape(()), reduction)


@lower(aten.cosine_embedding_loss.default)
def cosine_embedding_loss(x1: Tensor, x2: Tensor, y: Tensor, margin: float = 0.0, reduction: int = 1) -> Tensor:
    axis = 1 if y.dim() else 0
    a, b = x1.pow(2).sum(axis) + COSINE_EPS, x2.pow(2).sum(axis) + COSINE_EPS
    cosine = (x1 * x2).sum(axis) / (a * b).sqrt()
    same, other = (y == 1).to(x1.dtype), (y == -1).to(x1.dtype)
    return _reduce(same * (1 - cosine) + other * F.relu(cosine - margin), reduction)


@lower(aten.pairwise_distance.default)
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    return torch.linalg.vector_norm(x1 - x2 + eps, p, -1, keepdim)


@lower(aten.triplet_margin_loss.default)
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6,
    swap: bool = False, reduction: int = 1,
) -> Tensor:  # fmt: skip
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = torch.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce(F.relu(margin + near - far), reduction)
