"""Attention."""

from __future__ import annotations

import torch
from torch import Tensor

from jensen.lower.table import lower

aten = torch.ops.aten


@lower(aten.scaled_dot_product_attention.default)
def attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    if enable_gqa:
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], -3)
        v = v.repeat_interleave(q.shape[-3] // v.shape[-3], -3)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q.matmul(k.transpose(-2, -1)) * factor
    mask = None
    if is_causal:
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    elif attn_mask is not None and attn_mask.dtype == torch.bool:
        mask = attn_mask
    elif attn_mask is not None:
        return torch.softmax(scores + attn_mask, -1).matmul(v)
    if mask is None:
        return torch.softmax(scores, -1).matmul(v)
    return torch.ops.jensen.masked_softmax(scores, mask, -1).matmul(v)
