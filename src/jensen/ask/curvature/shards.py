"""Several processes (torchrun): each holds a share of the data, products are summed over all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from weakref import WeakSet

import torch
import torch.distributed as dist
from torch import Tensor

from jensen.cost import Cost
from jensen.cuts import warn_of_shares
from jensen.errors import Misuse

SHARDS = ("replicated", "own")
_TRIED: WeakSet[Cost] = WeakSet()  # costs of which it was looked at whether they may be cut


@dataclass(frozen=True)
class Shard:
    """This process's share: which terms of its cost, and what their weights are multiplied by."""

    rank: int
    processes: int
    kind: str
    scale: float

    def owned(self, terms: int) -> range:
        return range(self.rank, terms, self.processes) if self.kind == "replicated" else range(terms)

    def add(self, t: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.processes > 1:
            t = t.contiguous()
            dist.all_reduce(t)
        return t

    def first(self, t: Tensor) -> Tensor:
        """The first process's tensor in all of them: what each has computed for itself may differ in its last bits."""
        if self.processes > 1:
            t = t.clone(memory_format=torch.contiguous_format)
            dist.broadcast(t, 0)
        return t

    def whole(self, t: Tensor) -> Tensor:
        """J, or a derivative of it, of all data from that of this process's cost; the same in all of them to the last bit."""
        if self.processes == 1:
            return t
        if self.kind == "own":
            return self.add(self.scale * t)
        return self.first(t)

    def gather(self, mine: list[Any]) -> list[Any]:
        """The lists of all processes, one after another."""
        if self.processes == 1:
            return mine
        told: list[Any] = [None] * self.processes
        dist.all_gather_object(told, mine)
        return [item for found in told for item in found]


ALONE = Shard(0, 1, "own", 1.0)


@contextmanager
def together(processes: int) -> Iterator[None]:
    """A step that all processes take: where one of them refuses, all do, so that none waits for it."""
    failed: Misuse | None = None
    try:
        yield
    except Misuse as e:
        failed = e
    if processes > 1:
        told: list[str | None] = [None] * processes
        dist.all_gather_object(told, None if failed is None else str(failed))
        rank, text = next(((r, t) for r, t in enumerate(told) if t is not None), (0, None))
        if failed is None and text is not None:
            raise Misuse(f"in process {rank}: {text}")
    if failed is not None:
        raise failed


def processes() -> int:
    """How many there are under torch.distributed; one where it is not in use."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def shard(cost: Cost, theta: Mapping[str, Tensor], kind: str | None, asked: tuple[str, ...]) -> Shard:
    """How the processes share the work; alone where torch.distributed is not in use.

    "replicated": every process has all the data, and takes every so-many-th chunk. "own": each has its own data, and J
    is that of all the data together. None: replicated where the data is the same everywhere, own where it differs.

    Raises:
        Misuse: Where the processes' parameters or questions differ, or the sum would count a penalty more than once.
    """
    if kind is not None and kind not in SHARDS:
        raise Misuse(f"shard {kind!r} is none of {', '.join(SHARDS)}; None compares the processes' data")
    if processes() == 1:
        return ALONE
    rank, count = dist.get_rank(), dist.get_world_size()
    whole = sum((c.weight for c in cost._chunks), Fraction(0))
    told: list[Any] = [None] * count
    question = asked, kind, cost._reduction, cost._penalty is None
    dist.all_gather_object(told, (_digest(theta.values()), _data_digest(cost), whole, question))
    if len({t[0] for t in told}) > 1:
        raise Misuse("the parameters differ between the processes: give all of them the same, or the same at={...}")
    if len({t[3] for t in told}) > 1:
        raise Misuse(
            "the processes ask different questions (other blocks, shard=, reduction, or a penalty in some of them): ask the same in "
            "every process"
        )
    same = len({t[1] for t in told}) == 1
    if kind is None and same and cost._reduction == "sum":
        raise Misuse("all processes have the same data and the loss is a sum: say shard='replicated' or shard='own'")
    kind = kind or ("replicated" if same else "own")
    if kind == "replicated":
        if not same:
            raise Misuse("the processes' data differ, so the work is not replicated; use shard='own'")
        return Shard(rank, count, kind, 1.0)
    if cost._reduction == "sum":
        if cost._penalty is not None:
            raise Misuse("with a summed loss every process would count the penalty: use shard='replicated'")
        return Shard(rank, count, kind, 1.0)
    if cost not in _TRIED:
        _TRIED.add(cost)
        warn_of_shares(cost)
    return Shard(rank, count, kind, float(whole / sum((t[2] for t in told), Fraction(0))))


def _digest(tensors: Any) -> str:
    found = hashlib.sha256()
    for t in tensors:
        t = t.detach().cpu().contiguous()
        found.update(f"{t.dtype}{tuple(t.shape)}".encode())
        found.update(t.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _data_digest(cost: Cost) -> str:
    return hashlib.sha256("".join(c.sha256 for c in cost._chunks).encode()).hexdigest()
