"""The determinism gate: J must be one finite number, the same on every evaluation."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from jensen.chance import chance_kept
from jensen.errors import Misuse


def gate(cost: Any) -> None:
    """Refuse costs that are not a function: dropout left on, batch norm over several chunks, NaN, randomness."""
    settled(cost)
    with chance_kept():  # the caller's random numbers go on as if J had not drawn any
        _repeats(cost)


def _repeats(cost: Any) -> None:
    with torch.no_grad():
        first, second = cost(), cost()
    if not torch.isfinite(first):
        raise Misuse(
            f"J is {first.item()} at the current parameters; it must be finite: look at the data, or the parameters"
        )
    if first.item() != second.item() and abs(first - second) > 1e-12 * abs(first):
        raise Misuse(
            f"J gave {first.item()!r} and then {second.item()!r} at the same parameters; it must be a function: "
            f"switch off dropout, sampling and shuffling (model.eval(), fixed noise, shuffle=False)"
        )


def settled(cost: Any) -> None:
    """Refuse layers whose mode makes J random, or dependent on how the data is cut; modes can change after a cost is made."""
    for name, m in cost._model.named_modules():
        if isinstance(m, nn.modules.dropout._DropoutNd) and m.training and m.p > 0:
            raise Misuse(
                f"{two_values(cost)}: {name or 'the model'} is {type(m).__name__}(p={m.p}) in training mode, "
                f"so J is random; call model.eval() first"
            )
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and len(cost._chunks) > 1 and _of_the_batch(m):
            how = "in training mode" if m.training else "without running statistics"
            raise Misuse(
                f"{name} is {type(m).__name__} {how} over {len(cost._chunks)} chunks: its statistics would "
                f"depend on how the data is cut; call model.eval(), or give the data as one chunk"
            )


def _of_the_batch(m: Any) -> bool:
    """Whether a batch norm reads its batch's statistics."""
    return m.training or (m.running_mean is None and m.running_var is None)


def two_values(cost: Any) -> str:
    """Two evaluations of J, in words."""
    with torch.no_grad(), chance_kept():
        a, b = cost().item(), cost().item()
    return f"J gave {a!r} and then {b!r} at the same parameters"
