"""Tangents of determinants and of solutions of linear equations, whatever the memory of their matrices looks like.

torch's own formulas read the factors that come with the value. These are of the matrix or of its transpose, by how it lies in
memory, and where a graph is traced without values it may lie otherwise than where it runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def log_determinant(a: Tensor, along: Tensor) -> Tensor:
    """The derivative of log |det a| along a direction, tr(a^-1 along) (Jacobi); matrices are the last two axes."""
    inverse = aten.linalg_inv_ex.default(a)[0]
    return (inverse.transpose(-2, -1) * along).sum((-2, -1))


def solution(a: Tensor, x: Tensor, along_a: Any, along_b: Any, vector: bool, left: bool) -> Tensor:
    """The derivative of the x with a x = b (x a = b unless ``left``) along directions, None where one does not move.

    Args:
        vector: Whether b and x are vectors, without the last axis.
    """
    if vector:
        x, along_b = x.unsqueeze(-1), along_b if along_b is None else along_b.unsqueeze(-1)
    if along_a is not None:
        part = along_a @ x if left else x @ along_a
        along_b = -part if along_b is None else along_b - part
    moved = aten._linalg_solve_ex.default(a, along_b, left=left)[0]
    return moved.squeeze(-1) if vector else moved
