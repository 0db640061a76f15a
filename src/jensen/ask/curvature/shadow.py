"""A cost's twin, so that a model in training can be looked at without touching it."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jensen.cost import Cost
from jensen.errors import Misuse

MODES = ("live", "eval")


class Shadow:
    """The same function on a model of its own, brought to the live model's parameters and buffers when it is asked for.

    Args:
        cost: The cost whose model is trained.
        mode: ``"live"``: modules in the mode they are in; ``"eval"``: all in evaluation mode; None: live where J is then a
            function, else eval, decided at the first look and kept.
    """

    def __init__(self, cost: Cost, mode: str | None = None):
        if mode is not None and mode not in MODES:
            raise Misuse(f"mode={mode!r} is not known; use 'live', 'eval' or None")
        self.live, self.mode = cost, mode
        self.cost = copy.copy(cost)
        self.cost._programs = {}
        if cost._private is not cost._model:  # else Cost.of: its tensors live nowhere but in the cost
            # Both from the private copy: hooks that a trainer hung on the model since are not copied along.
            self.cost._model = copy.deepcopy(cost._private)
            self.cost._private = copy.deepcopy(cost._private)

    def look(self, theta: Mapping[str, Tensor] | None = None) -> tuple[Cost, float]:
        """The twin at the live parameters (or at theta), and J there.

        Raises:
            Misuse: Where J is random in every mode that may be used.
        """
        own = self.cost._model
        if own is not self.live._model:
            _bring(own, self.live._model)
            if self.mode != "live":
                own.eval()
            if self.mode != "eval":
                _set_modes(own, self.live._model)
        value, steady = self._evaluate(theta)
        if not steady and self.mode is None:
            own.eval()
            value, steady = self._evaluate(theta)
        if not steady:
            raise Misuse(
                f"J is random in mode {self.mode_now()!r}: switch off dropout and sampling, or use mode='eval'"
            )
        if self.mode is None and np.isfinite(value):
            self.mode = self.mode_now()
        return self.cost, value

    def mode_now(self) -> str:
        """In which mode the twin stands."""
        ours, theirs = self.cost._model.modules(), self.live._model.modules()
        return "live" if all(a.training == b.training for a, b in zip(ours, theirs, strict=True)) else "eval"

    def _evaluate(self, theta: Mapping[str, Tensor] | None) -> tuple[float, bool]:
        """J, and whether it is a function: it drew no random numbers, and no batch norm saw the data in pieces."""
        before = torch.get_rng_state()
        with torch.no_grad():
            value = float(self.cost(theta))
        drew = not torch.equal(before, torch.get_rng_state())
        pieces = len(self.cost._chunks) > 1
        cut = pieces and any(
            m.training for m in self.cost._model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
        )
        return value, not drew and not cut


def _bring(ours: nn.Module, theirs: nn.Module) -> None:
    """Copy parameters and buffers; what is equal is not written to, so that traced programs stay valid."""
    pairs = [
        *zip(ours.parameters(), theirs.parameters(), strict=True),
        *zip(ours.buffers(), theirs.buffers(), strict=True),
    ]
    with torch.no_grad():
        for a, b in pairs:
            b = b.detach().to(device=a.device, dtype=a.dtype)
            if not torch.equal(a, b):
                a.copy_(b)


def _set_modes(ours: nn.Module, theirs: nn.Module) -> None:
    for a, b in zip(ours.modules(), theirs.modules(), strict=True):
        a.training = b.training


@contextmanager
def undisturbed() -> Iterator[None]:
    """Random states, autograd's and autocast's modes and the default device inside are torch's own; outside as they were."""
    states: Any = (random.getstate(), np.random.get_state())
    cuda = [torch.cuda.current_device()] if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=cuda))
        for kind in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def made(cost: Cost | Callable[[Any], Cost], model: nn.Module) -> Cost:
    """A cost, or what a function makes of the model, which is in evaluation mode meanwhile and in its own again after."""
    if isinstance(cost, Cost):
        return cost
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        return cost(model)
    finally:
        for m, training in modes:
            m.training = training
