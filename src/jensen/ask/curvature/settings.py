"""What a watch is asked for, checked before anything is measured."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from os import PathLike
from typing import Any

from jensen.ask.curvature.operator import hessian
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.run.journal import Journal

OWN = ("cost", "at", "mode", "shard")  # settings of an operator that a watch decides itself


def check(cost: Any, whole: Mapping[str, Any], positive: Mapping[str, Any], switches: Mapping[str, Any]) -> None:
    """Refuse what is no cost, no whole number from 1, no positive number (a share may be None), and no switch."""
    if not isinstance(cost, Cost):
        raise Misuse(f"the first argument is {type(cost).__name__}, not a jensen.Cost; make one with jensen.Cost(...)")
    for name, value in whole.items():
        if not _whole(value) or value < 1:
            raise Misuse(f"{name}={value!r} must be a whole number, at least 1")
    for name, value in positive.items():
        if name == "share" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            example = "0.1 for a tenth of the training time; None is no cap" if name == "share" else "0.02"
            raise Misuse(f"{name}={value!r} must be a positive number, such as {example}")
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise Misuse(f"{name}={value!r} must be True or False")


def check_rest(run: Any, start: Any, show: Any, seed: Any, operator: Mapping[str, Any]) -> None:
    """Refuse names, steps, seeds and settings that mean nothing."""
    if run is not None and not (isinstance(run, str) and run):
        raise Misuse(f"run={run!r} must be a name, such as 'first'; None makes one up")
    if start is not None and (not _whole(start) or start < 0):
        raise Misuse(f"start={start!r} must be a step's number, 0 or more; leave it out where training begins")
    if not (show is None or isinstance(show, bool) or callable(show)):
        raise Misuse(f"show={show!r} must be a function of a record, True, False or None")
    if not _whole(seed) or not -(2**63) <= seed < 2**64:
        raise Misuse(f"seed={seed!r} must be a whole number of at most 64 bits")
    check_names(operator)


def check_names(settings: Mapping[str, Any], watch: Any = None) -> None:
    """Refuse settings that neither an operator knows nor, where it is given, the function that makes a watch.

    Callbacks ask before training begins, which may be hours after they are made.
    """
    known = [n for n in inspect.signature(hessian).parameters if n not in OWN]
    own = () if watch is None else inspect.signature(watch).parameters
    for name in settings:
        if name not in known and (name not in own or name == "cost"):
            raise Misuse(f"{name!r} is no setting of jensen.watch, nor of its Hessian: {', '.join(known)}")


def opened(journal: Any, directions: bool) -> Journal | None:
    """The journal that was named."""
    if directions and journal is None:
        raise Misuse("directions=True keeps vectors in a journal, and there is none; name one: journal='run.jsonl'")
    if journal is None or isinstance(journal, Journal):
        return journal
    if not isinstance(journal, (str, PathLike)) or not str(journal):
        raise Misuse(f"journal={journal!r} must be a path, such as 'run.jsonl', or a jensen.run.journal.Journal")
    return Journal(journal)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
