"""How torch multiplies float32 numbers, for a while: it keeps that for the whole process, in several places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def multiplied(places: Sequence[Any], how: str) -> Iterator[None]:
    """In "ieee" or "tf32" at these places of torch.backends."""
    with _kept(places):
        _set(places, how)
        yield


@contextmanager
def readable() -> Iterator[None]:
    """So that torch.export, which asks for cuDNN's older flag, gets an answer: torch refuses one where newer ones differ from it."""
    cudnn = torch.backends.cudnn
    places = [getattr(cudnn, n) for n in ("conv", "rnn") if hasattr(getattr(cudnn, n, None), "fp32_precision")]
    with _kept(places):
        for how in ("tf32", "none"):
            if not _answers():
                _set(places, how)
        yield


def _answers() -> bool:
    try:
        return torch.backends.cudnn.allow_tf32 in (True, False)
    except RuntimeError:
        return False


@contextmanager
def _kept(places: Sequence[Any]) -> Iterator[None]:
    """As it was afterwards; what was inherited before is inherited again."""
    before = [p.fp32_precision for p in places]
    try:
        yield
    finally:
        _set(places, "none")  # what torch.backends.fp32_precision and its like say
        for place, was in zip(places, before, strict=True):
            if place.fp32_precision != was:
                place.fp32_precision = was


def _set(places: Sequence[Any], how: str) -> None:
    for place in places:
        place.fp32_precision = how
