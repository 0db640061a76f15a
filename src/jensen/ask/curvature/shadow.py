"""A cost's twin, so that a model in training can be looked at without touching it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from jensen import live
from jensen.chance import chance_kept
from jensen.copies import copied
from jensen.cost import Cost
from jensen.errors import Misuse

MODES = ("train", "eval")


class Shadow:
    """The same function on a model of its own, brought to the live model's parameters and buffers when it is asked for.

    Args:
        cost: The cost whose model is trained.
        mode: ``"train"`` or ``"eval"``: the mode of all modules of the twin; None: as the live model is now where J is then a
            function, else eval.

    Raises:
        Misuse: Where J is no function in that mode.
    """

    def __init__(self, cost: Cost, mode: str | None = None):
        if mode is not None and mode not in MODES:
            raise Misuse(f"mode={mode!r} is not known; use 'train', 'eval' or None")
        self.live = cost
        self.cost = copy.copy(cost)
        self.cost._programs = {}
        if cost._private is not cost._model:  # else Cost.of: its tensors live nowhere but in the cost
            # Both from the private copy: hooks that a trainer hung on the model since are not copied along.
            self.cost._model = copied(cost._private)
            self.cost._private = copied(cost._private)
            self._seen, self.cost._seen = live.Seen(), tuple(live.Seen() for _ in cost._seen)
            with undisturbed():
                self._set_mode(mode)

    def look(self) -> Cost:
        """The twin at the live parameters."""
        if self.cost._model is not self.live._model:
            live.bring(self.cost._model, self.live._model, self._seen, made="watch")
        return self.cost

    @property
    def mode(self) -> str:
        """train where any module is in training mode, else eval."""
        return "train" if any(m.training for m in self.cost._model.modules()) else "eval"

    @property
    def device(self) -> str | None:
        """Where the live parameters are, if that is not the CPU."""
        devices = {str(p.device) for p in self.live._model.parameters()} - {"cpu"}
        return devices.pop() if devices else None

    def _set_mode(self, mode: str | None) -> None:
        twin = self.cost._model
        if mode is not None:
            twin.train(mode == "train")
        else:
            for ours, theirs in zip(twin.modules(), self.live._model.modules(), strict=True):
                ours.training = theirs.training
        self.look()
        if not self._is_function() and mode is None:
            twin.eval()
        if not self._is_function():
            raise Misuse(f"J is random in mode {self.mode!r}: switch off dropout and sampling, or use mode='eval'")

    def _is_function(self) -> bool:
        """Whether J has one value, and no batch norm sees the data in pieces."""
        with torch.no_grad():
            first, second = float(self.cost()), float(self.cost())
        same = abs(first - second) <= 1e-12 * abs(first) or repr(first) == repr(second)
        norms = [m for m in self.cost._model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        return same and not (len(self.cost._chunks) > 1 and any(m.training for m in norms))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Random states, autograd's and autocast's modes and the default device inside are torch's own; outside as they were."""
    with ExitStack() as stack:
        stack.enter_context(chance_kept())
        for kind in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


def made(cost: Cost | Callable[[Any], Cost], model: nn.Module) -> Cost:
    """A cost, or what a function makes of the model, which is in evaluation mode meanwhile and in its own again after.

    What the function draws at random, training does not notice.
    """
    if isinstance(cost, Cost):
        return cost
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with chance_kept():
            return cost(model)
    finally:
        for m, training in modes:
            m.training = training
