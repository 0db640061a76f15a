"""What jensen knows about operations, one operation or tight family a file.

A file placed in this folder is found by itself; two atoms for one operation are an error.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

from jensen.atoms.registry import REGISTRY, Registry


@lru_cache(maxsize=1)
def registry() -> Registry:
    """All atoms."""
    for module in sorted(m.name for m in iter_modules(__path__)):
        import_module(f"jensen.atoms.{module}")
    return REGISTRY
