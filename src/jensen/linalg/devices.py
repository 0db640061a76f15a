"""Where tensors are computed."""

from __future__ import annotations

from typing import Any

import torch

from jensen.errors import Misuse


def device_of(device: Any) -> torch.device:
    """A device as torch knows it; the CPU for None.

    Raises:
        Misuse: Where torch does not know it, or sees no CUDA device.
    """
    try:
        found = torch.device("cpu" if device is None else device)
    except (RuntimeError, TypeError) as e:
        raise Misuse(f"device {device!r} is not known to torch; use 'cpu' or 'cuda'") from e
    if found.type not in ("cpu", "cuda"):
        raise Misuse(f"device {device!r} is not supported; use 'cpu' or 'cuda'")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise Misuse("device 'cuda' was asked for, but torch sees no CUDA device; use device='cpu'")
    return found
