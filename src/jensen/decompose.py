"""An exported program taken apart into the operations that atoms know.

torch's ``run_decompositions`` asks its dispatcher for every composite operation there is, and overrides each one, at every
call; nearly all of them as they are anyhow. Here only those are overridden that are to stay whole or have a form of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch.export import exported_program

from jensen.atoms import registry
from jensen.lower import LOWER
from jensen.normal import NORMAL

Table = Mapping[Any, Callable[..., Any]]
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
SPLIT = "_split_decomp_table_to_cia_and_python_decomp"  # torch's own; without it, all of its work is done


def decomposed(exported: Any) -> Any:
    """The program in other operations. Older torch views what attention gave as if it lay in one piece: reshaped, it may not."""
    known = frozenset(registry().atoms)
    table = decompositions(known)
    with _split_once(known):
        try:
            return exported.run_decompositions(table)
        except ValueError as e:
            if "Cannot view a tensor" not in str(e):
                raise
        aten = torch.ops.aten
        for node in exported.graph.find_nodes(op="call_function", target=aten.view.default):
            node.target = aten.reshape.default
        return exported.run_decompositions(table)


@cache
def decompositions(known: frozenset[str]) -> dict[Any, Callable[..., Any]]:
    """torch's table, less what atoms know whole, with our own forms; not to be written to."""
    table: dict[Any, Any] = dict(torch.export.default_decompositions())
    for op in list(table.keys()):
        if str(op) in known or op in NORMAL:
            table.pop(op)
    for op, form in LOWER.items():
        table[op] = form
    return table


@contextmanager
def _split_once(known: frozenset[str]) -> Iterator[None]:
    """While this lasts, torch is told which composite operations need to be overridden."""
    own = getattr(exported_program, SPLIT, None)
    if own is None:
        yield
        return
    composite, others = _split(own, known)
    setattr(exported_program, SPLIT, lambda _: (composite, dict(others)))
    try:
        yield
    finally:
        setattr(exported_program, SPLIT, own)


@cache
def _split(own: Callable[..., Any], known: frozenset[str]) -> tuple[Table, Table]:
    """Composite operations of aten that do not just decompose as they always do; and the table without composite ones."""
    composite, others = own(dict(decompositions(known)))
    ours = {op: form for op, form in composite.items() if op.namespace == "aten" and not _usual(op, form)}
    return ours, others


def _usual(op: Any, form: Any) -> bool:
    """Whether a form is the operation's own decomposition."""
    if isinstance(form, partial):
        return form.keywords.get("kernel") is op
    return form is op.py_kernels.get(COMPOSITE)
