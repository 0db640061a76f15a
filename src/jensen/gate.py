"""The determinism gate: J must be one finite number, the same on every evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from jensen.chance import chance_kept
from jensen.errors import Misuse


def gate(cost: Any) -> None:
    """Refuse costs that are not a function: dropout left on, batch norm over several chunks, NaN, randomness."""
    settled(cost)
    with chance_kept():  # the caller's random numbers go on as if J had not drawn any
        _moves(cost)
        _repeats(cost)


def steady(cost: Any) -> None:
    """Refuse a cost whose first part has become random since, in a layer that :func:`settled` does not know."""
    values, (chunk, _) = cost._values(None), cost.parts()[0]
    with torch.no_grad(), chance_kept():
        first, second = (cost.part_value(values, 0, chunk) for _ in range(2))
    _alike(first, second)


def _repeats(cost: Any) -> None:
    with torch.no_grad():
        first, second = cost(), cost()
    if not torch.isfinite(first):
        raise Misuse(
            f"J is {first.item()} at the current parameters; it must be finite: look at the data, or the parameters"
        )
    _alike(first, second)


def _alike(first: torch.Tensor, second: torch.Tensor) -> None:
    if first.item() != second.item() and abs(first - second) > 1e-12 * abs(first):
        raise Misuse(
            f"J gave {first.item()!r} and then {second.item()!r} at the same parameters; it must be a function: "
            f"switch off dropout, sampling and shuffling (model.eval(), fixed noise, shuffle=False)"
        )


def _moves(cost: Any) -> None:
    """Refuse a cost that reads the live model beside the values that J is asked at: the derivative would miss that part.

    A penalty or a loss may have been written with the model in its closure, and so may a function that a layer holds; and a
    list may hold a parameter beside the layer whose it is.
    """
    if cost._private is cost._model:  # Cost.of: its tensors live nowhere but in the cost
        return
    live = {id(p): n for m in (cost._model, cost._private) for n, p in m.named_parameters() if n in cost._names}
    values = {n: t.detach() for n, t in cost._values(None).items()}
    parts = cost.parts()
    for k in [k for k, (chunk, _) in enumerate(parts) if k == 0 or chunk is None]:
        with torch.enable_grad():
            read = next((live[i] for i in map(id, _leaves(cost.part_value(values, k, parts[k][0]))) if i in live), None)
        if read is not None:
            raise Misuse(
                f"the cost reads {read} from the model itself, in a function that holds the model or from a list, and not the "
                f"value that J is asked at: its derivative would miss that. Let a penalty use its argument (penalty=lambda p: "
                f"p[{read!r}].square().sum()), a layer its own attributes, and a list be an nn.ParameterList"
            )


def _leaves(value: torch.Tensor) -> Iterator[torch.Tensor]:
    """The tensors that autograd would give a gradient of this value."""
    stack, seen = [value.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            yield node.variable  # pyright: ignore[reportAttributeAccessIssue]
        stack += [n for n, _ in node.next_functions]


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
