"""What the caller's thread and modes may not reach: torch traces for the whole process, and inference mode drops derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock
from typing import Any

import torch
from torch.nn.utils import parametrize

_TRACING = RLock()


def _home() -> AbstractContextManager[Any]:
    """The CPU for new tensors, where the copy of the model is, whatever torch.set_default_device says."""
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")


@contextmanager
def alone() -> Iterator[None]:
    """One thread at a time: while torch captures a module or a function, it changes how every module is called."""
    with _TRACING, _home(), _uncached():
        yield


@contextmanager
def _uncached() -> Iterator[None]:
    """Parametrized weights computed anew at each use, also within parametrize.cached()."""
    before, parametrize._cache_enabled = parametrize._cache_enabled, 0
    try:
        yield
    finally:
        parametrize._cache_enabled = before


@contextmanager
def differentiable() -> Iterator[None]:
    """Outside torch.inference_mode, whose tensors have no derivatives; without gradients all the same, as the caller asked."""
    with _home():
        if not torch.is_inference_mode_enabled():
            yield
            return
        with torch.inference_mode(False), torch.no_grad():
            yield
