"""A function of one tensor captured as a CUDA graph: replaying it starts all its kernels at once.

Small networks' kernels run for less time than it takes to start them one by one, so that a product is mostly waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


class Replayed:
    """The same function for tensors of the shape, type and device of ``like``; what else it reads must stay where it is.

    Its result is new memory in every call. What the function allocates while it runs stays with the graph.

    Raises:
        RuntimeError: Where something in the function cannot be captured, or memory does not suffice.
    """

    def __init__(self, f: Map, like: Tensor):
        self._given, self._kept = like.clone(), f
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(like.device):
            here, aside = torch.cuda.current_stream(), _aside(like.device)
            aside.wait_stream(here)
            with torch.cuda.stream(aside):  # libraries make their handles and workspaces before a capture
                f(self._given)
            here.wait_stream(aside)
            with torch.cuda.graph(self._graph):
                self._out = f(self._given)

    def __call__(self, x: Tensor) -> Tensor:
        self._given.copy_(x)
        self._graph.replay()
        return self._out.clone()


@cache
def _aside(device: torch.device) -> torch.cuda.Stream:
    """One other stream for each device: libraries keep a workspace for every stream that they have seen."""
    return torch.cuda.Stream(device)
