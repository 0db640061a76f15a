"""The global random states, as they were before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def chance_kept() -> Iterator[None]:
    """Whatever is drawn inside, Python's, numpy's and torch's random states (CUDA's too, where it is in use) are outside
    as they were."""
    states = random.getstate(), np.random.get_state()
    used = torch.cuda.is_available() and torch.cuda.is_initialized()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if used else ()):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
