"""What the caller's thread and modes may not reach: torch traces for the whole process, and inference mode drops derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch

_TRACING = RLock()


@contextmanager
def alone() -> Iterator[None]:
    """One thread at a time: while torch captures a module or a function, it changes how every module is called."""
    with _TRACING:
        yield


@contextmanager
def differentiable() -> Iterator[None]:
    """Outside torch.inference_mode, whose tensors have no derivatives; without gradients all the same, as the caller asked."""
    if not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False), torch.no_grad():
        yield
