"""Composite torch operations rewritten in operations that atoms know, as torch code (applied by torch.export).

Nothing here is trusted: every traced program is replayed against the cost. The forms are chosen so that composition
rules see what is convex in them; constants of the implementation stay visible as operations of their own.
"""

from __future__ import annotations

from importlib import import_module

from jensen.lower.table import LOWER

for _part in ("activations", "losses", "margins", "layers", "attention", "tensors"):
    import_module(f"jensen.lower.{_part}")

__all__ = ["LOWER"]
