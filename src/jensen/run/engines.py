"""Engines: where units of work run. One interface: ``submit(fn, *args)`` gives a ``concurrent.futures.Future``.

An engine is anything with ``submit``, ``slots`` (how many units run at once) and ``close``. Units are pure functions of
their arguments, so where one ran, in which order and how often does not show in its result; an engine whose workers can
die (``isolated``) runs a lost unit again. What an engine must keep is in :mod:`jensen.testing.engines`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import Any, Protocol

from jensen.errors import Misuse

RETRIES = 3
HOMES = {
    "local": "jensen.run.engines:Local",
    "processes": "jensen.run.engines_processes:Processes",
    "ray": "jensen.run.engines_ray:Ray",
    "slurm": "jensen.run.engines_slurm:Slurm",
}


class Engine(Protocol):
    """Where units of work run.

    Attributes:
        name: For messages and reports.
        slots: How many units run at once; submitting more is allowed, and makes them wait.
        isolated: Whether a unit runs in a process of its own making, which can die without taking us along.
    """

    name: str
    slots: int
    isolated: bool

    def submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run ``fn(*args)``; its result, or what it raised, is the future's.

        Raises:
            Misuse: After ``close``, or for a call that cannot be sent.
        """
        ...

    def close(self) -> None:
        """Give everything back; units that have not finished are cancelled. Closing twice is closing once."""
        ...


class Local:
    """Runs each unit here and now."""

    name, slots, isolated = "local", 1, False

    def __init__(self) -> None:
        self._closed = False

    def submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run it; the future is finished when it is returned."""
        refuse_closed(self._closed, self.name)
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args))
        except Exception as e:
            future.set_exception(e)
        return future

    def close(self) -> None:
        """Nothing is held."""
        self._closed = True


def refuse_closed(closed: bool, name: str) -> None:
    """Raises Misuse for an engine that was closed."""
    if closed:
        raise Misuse(f"the engine {name!r} was closed; make a new one")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def engine_of(asked: Any) -> tuple[Any, bool]:
    """The engine that is meant, and whether it was made here (and so is to be closed here).

    Args:
        asked: ``"local"``, ``"processes"``, ``"ray"`` or ``"slurm"``, with a number or address after a colon
            (``"processes:4"``, ``"ray:auto"``), an engine, or None for local.

    Raises:
        Misuse: For anything else, or an engine whose package is not installed.
    """
    if asked is None:
        return Local(), True
    if not isinstance(asked, str):
        if all(hasattr(asked, a) for a in ("submit", "close", "slots")):
            return asked, False
        raise Misuse(f"engine={asked!r} is {type(asked).__name__}; give one of {', '.join(HOMES)}, or an engine")
    name, word = parsed(asked)
    module, made = HOMES[name].split(":")
    make = getattr(import_module(module), made)
    return (make.of(word) if word else make()), True


def parsed(asked: str) -> tuple[str, str]:
    """An engine's name, and the word behind the colon.

    Raises:
        Misuse: For a name that is none.
    """
    name, colon, word = asked.partition(":")
    if name not in HOMES or (colon and (name == "local" or not word)):
        raise Misuse(f"engine={asked!r} is not known; give one of {', '.join(HOMES)}, such as 'processes:4'")
    return name, word


def count_of(word: str, name: str) -> int:
    """The number of workers in ``name:number``."""
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise Misuse(f"engine={f'{name}:{word}'!r}: {word!r} is no number of workers; write {name}:4, for example")
    return int(word)
