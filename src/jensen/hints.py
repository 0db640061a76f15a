"""What helps against errors of torch whose own words do not say it."""

from __future__ import annotations

import re

import torch

BY_INPUTS = "derivatives by a model's inputs are taken forward here, with torch.func.jvp(f, (x,), (v,)), in place of autograd.grad or func.grad"
HINTS = (
    (r"does not require grad and does not have a grad_fn|no attribute 'constant'|model\.lifted_tensor_", BY_INPUTS),
    (r"expected target dtype|expected scalar type Long", "targets that name classes are whole numbers: give y.long()"),
    (
        r"takes \d+ positional arguments? but \d+ were given",
        "a tuple is several arguments, and several chunks are a list of pairs, [(x, y), (x2, y2)]",
    ),
    (r"failed to unpack.*FakeTensor", "packed sequences have lengths that no program can: pad them and mask the loss"),
)
FLOAT64 = "give dtype=torch.float32 if an operation of the model knows no float64"


def hint(text: str, dtype: torch.dtype = torch.float32) -> str:
    """A remedy for an error, to be put before what else is said; nothing where none is known.

    Args:
        text: torch's words.
        dtype: The cost's type: float64 unless asked otherwise, which not every operation knows.
    """
    for pattern, remedy in HINTS:
        if re.search(pattern, text, re.IGNORECASE):
            return f"{remedy}; "
    refused = dtype == torch.float64 and re.search(r"\b(double|float64)\b", text, re.IGNORECASE)
    return f"{FLOAT64}; " if refused else ""
