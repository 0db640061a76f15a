"""What is asked about: one cost, or a family of costs over widths, with its test data; and how a worker gets them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.run.packing import opened, pack

Loss = Callable[[Mapping[str, Tensor]], Any]


@dataclass(frozen=True)
class Subject:
    """One cost with what is measured beside it.

    Attributes:
        width: Of a family; None for a single cost.
        cost: What is trained.
        train: The loss on the training data without the penalty; None where that is the cost itself.
        test: The loss on the test data; None without any.
    """

    width: int | None
    cost: Cost
    train: Loss | None = None
    test: Loss | None = None


def subjects(asked: Any, widths: Iterable[int] | None, test: Any = None) -> list[Subject]:
    """What is asked about, width by width.

    Args:
        asked: A cost, or a function of a width that returns a cost, or a cost and its test data.
        widths: For a function.
        test: For a cost: its test data.

    Raises:
        Misuse: Where the two do not go together, or the function returns something else.
    """
    if isinstance(asked, Cost):
        if widths is not None:
            raise Misuse(
                "widths are for a family: give a function of the width that returns a cost, in place of the cost"
            )
        return [subject(None, asked, test)]
    if not callable(asked):
        raise Misuse(f"{type(asked).__name__} is neither a jensen.Cost nor a function of a width that returns one")
    if test is not None:
        raise Misuse("a family brings its test data along: return (cost, (x_test, y_test)) from its function")
    given = _widths(widths)
    return [_member(asked, w) for w in given]


def _widths(widths: Iterable[int] | None) -> list[int]:
    if widths is None:
        raise Misuse("a family needs its widths: jensen.minima(family, widths=[2, 5, 10], runs=...)")
    given = list(widths)
    wrong = [w for w in given if isinstance(w, bool) or not isinstance(w, int) or w < 1]
    if wrong or not given or len(set(given)) < len(given):
        raise Misuse(f"widths={given!r}: give different whole numbers, each 1 or more")
    return given


def _member(family: Callable[[int], Any], width: int) -> Subject:
    made = family(width)
    cost, test = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(cost, Cost):
        raise Misuse(
            f"the family returned {type(cost).__name__} for width {width}; return a cost, or (cost, test data)"
        )
    return subject(width, cost, test)


def subject(width: int | None, cost: Cost, test: Any) -> Subject:
    """A cost with its test data: ``(x, y)``, another cost with the same blocks, or a function of the blocks."""
    train = None if cost._penalty is None or cost._loss is None else cost.on()
    if test is None or (callable(test) and not isinstance(test, Cost)):
        return Subject(width, cost, train, test)
    other = test if isinstance(test, Cost) else cost.on(test)
    if other.blocks != cost.blocks:
        raise Misuse(
            "the test cost has other blocks than the cost; make it of the same model, or give (x_test, y_test)"
        )
    return Subject(width, cost, train, other)


def measured(loss: Loss | None, points: Sequence[Mapping[str, Tensor]]) -> list[float | None]:
    """A loss at each point; None without one."""
    if loss is None:
        return [None] * len(points)
    with torch.no_grad():
        return [float(loss(theta)) for theta in points]


# -- to workers and back --------------------------------------------------------------------------------------------


def packed(one: Subject) -> bytes:
    """A subject as bytes; without the programs that its costs were traced to, which a worker makes for itself.

    Raises:
        Misuse: Where it cannot be sent to another process.
    """
    bare = Subject(one.width, _bare(one.cost), _bare(one.train), _bare(one.test))
    return pack(_itself, (bare,))


def _bare(thing: Any) -> Any:
    return thing.restrict(tuple(thing.blocks)) if isinstance(thing, Cost) else thing


def _itself(one: Subject) -> Subject:
    return one


@lru_cache(maxsize=4)
def unpacked(data: bytes) -> Subject:
    """The subject, made once in a process."""
    return opened(data)[1][0]


def fingerprint(one: Subject) -> str:
    """What tells a subject from another: blocks, data, the model's and the loss's text, J and the test loss at two points.

    They are taken to six digits, so that rounding on another machine does not change it.
    """
    cost, told = one.cost, hashlib.sha256()
    for part in (list(cost.blocks.items()), [c.sha256 for c in cost._chunks], repr(cost._model), repr_of(cost._loss)):
        told.update(repr(part).encode())
    generator = torch.Generator().manual_seed(20)
    for _ in range(2):
        point = {n: 0.5 * torch.randn(s, generator=generator, dtype=torch.float64) for n, s in cost.blocks.items()}
        told.update(
            repr([None if v is None else f"{v:.5e}" for f in (cost, one.test) for v in measured(f, [point])]).encode()
        )
    return told.hexdigest()[:16]


def repr_of(thing: Any) -> str:
    """A text that is the same in every process."""
    if isinstance(thing, torch.nn.Module):
        return repr(thing)
    return str(getattr(thing, "__qualname__", type(thing).__name__))
