"""Calls and their outcomes as bytes, so that every engine carries the same thing: a call there, an outcome back.

Functions and classes of a script, a notebook, or a target's own file travel by value (cloudpickle), those of installed
modules by name; the sender's ``sys.path`` goes with them, so that modules beside the script are found as well.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from jensen.errors import Misuse

BY_VALUE = "__jensen_target__"  # marks a module that was loaded from a file by its path


class UnitFailed(RuntimeError):
    """A unit of work raised something that cannot be sent; the message has its traceback."""


class UnitLost(RuntimeError):
    """A unit of work was lost with its worker, as often as it was tried."""


def pack(fn: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    """A call as bytes.

    Raises:
        Misuse: Where something in it cannot be sent to another process.
    """
    import cloudpickle

    try:
        with _by_value(cloudpickle), _quiet():
            call = cloudpickle.dumps((fn, args))
    except Exception as e:  # whatever the user's objects raise
        text = " ".join(str(e).split())
        raise Misuse(
            f"the work cannot be sent to another process ({type(e).__name__}: {text}); make the cost of picklable "
            "modules and tensors, or use engine='local'"
        ) from e
    return pickle.dumps((list(sys.path), os.getcwd(), call))


def opened(packed: bytes) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The call, in this process; whatever its modules raise when they are imported is raised."""
    path, folder, call = pickle.loads(packed)
    sys.path.extend(p for p in (q or folder for q in path) if p not in sys.path)
    with _quiet():
        return pickle.loads(call)


def perform(packed: bytes) -> bytes:
    """Make a packed call, in whatever process this is, and pack its outcome. Never raises an ordinary exception."""
    try:
        fn, args = opened(packed)
        return _dumps((True, fn(*args)))
    except Exception as e:  # whatever the work raises goes back to who asked
        told = "".join(traceback.format_exception(e))
        try:
            return _round((False, e, told))
        except Exception:
            return _dumps((False, UnitFailed(told), told))


def outcome(packed: bytes) -> Any:
    """What a call returned.

    Raises:
        Exception: What the call raised, with its traceback there as a note.
    """
    done, *rest = pickle.loads(packed)
    if done:
        return rest[0]
    error, told = rest
    error.add_note(f"raised in a worker:\n{told}")
    raise error


def _dumps(value: Any) -> bytes:
    import cloudpickle

    return cloudpickle.dumps(value)


def _round(value: Any) -> bytes:
    """Bytes that are known to load again: some exceptions can be packed and not unpacked."""
    packed = _dumps(value)
    pickle.loads(packed)
    return packed


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch warns about how it pickles its own trees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextmanager
def _by_value(cloudpickle: ModuleType) -> Iterator[None]:
    """Modules that were loaded from a file by its path cannot be imported by name elsewhere."""
    held = [m for m in list(sys.modules.values()) if getattr(m, BY_VALUE, False) is True]
    for module in held:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in held:
            cloudpickle.unregister_pickle_by_value(module)
