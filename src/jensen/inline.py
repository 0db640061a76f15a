"""Layers under torch.utils.checkpoint, run once.

Checkpointing runs them again in the backward pass, when the model holds its own parameters again and not those that J is asked
at: gradients would be of another point, or not reach the parameters at all. What is asked here does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils import checkpoint


class _Once:
    """In the place of the reentrant variant's autograd.Function."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def _once(*args: Any, **kwargs: Any) -> Iterator[None]:
    """In the place of the other variant's generator: nothing before the layers run, nothing after."""
    yield


SHIMS = {"CheckpointFunction": _Once, "_checkpoint_without_reentrant_generator": _once}


@contextmanager
def inline() -> Iterator[None]:
    """Checkpointed layers as plain calls, while this lasts."""
    own = {name: getattr(checkpoint, name) for name in SHIMS if hasattr(checkpoint, name)}
    for name in own:
        setattr(checkpoint, name, SHIMS[name])
    try:
        yield
    finally:
        for name, value in own.items():
            setattr(checkpoint, name, value)
