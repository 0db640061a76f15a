"""The data of a cost, in chunks: kept in memory where it is small, read again on every pass where it is not.

The first pass reads every chunk once and keeps its structure, shapes, types, weight and sha256. Whatever is read later
must have the same hash, so that J is one function however often the data is walked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch.utils import _pytree as pytree

from jensen.errors import Misuse
from jensen.weights import rows

IN_MEMORY = 256 * 2**20  # bytes; larger data is read again on every pass
STABLE = "use shuffle=False and no random augmentation"

Tensors = tuple[torch.Tensor, ...]


class Changed(Misuse):
    """The data is not what it was on the first pass."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """One piece of the data, flattened.

    Attributes:
        spec: How ``(x, y)`` was flattened.
        weight: Its share in the full-data cost.
        shapes: The tensors' shapes.
        dtypes: Their types in the cost.
        sha256: Of the tensors as the data gave them.
    """

    source: Source = field(repr=False)
    index: int
    spec: Any
    weight: Fraction
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[torch.dtype, ...]
    sha256: str

    @property
    def tensors(self) -> Tensors:
        """The data itself; where it is streamed, the last chunk that was asked for is the only one in memory."""
        return self.source.load(self)

    @property
    def streamed(self) -> bool:
        """Whether the tensors are read again on every pass."""
        return self.source.kept is None


class Source:
    """Where chunks come from: memory, or an iterable that is walked again; going back restarts it."""

    def __init__(self, data: Any, dtype: torch.dtype):
        self.data, self.dtype = data, dtype
        self.kept: list[Tensors] | None = []
        self.count = 0
        self._last: tuple[int, Tensors] | None = None
        self._iterator: Iterator[Any] | None = None
        self._next = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None, "_iterator": None, "_next": 0}

    def load(self, chunk: Chunk) -> Tensors:
        """A chunk's tensors, exactly those of the first pass.

        Raises:
            Changed: Where the data gives other ones, or fewer or more chunks.
        """
        if self.kept is not None:
            return self.kept[chunk.index]
        if self._last is None or self._last[0] != chunk.index:
            self._last = None  # before the next one is read
            flat, spec = flatten(self._fetch(chunk.index))
            same(chunk, sha256(flat, spec))
            self._last = (chunk.index, converted(flat, self.dtype))
        return self._last[1]

    def _fetch(self, k: int) -> Any:
        if isinstance(self.data, (tuple, list)):
            if len(self.data) != self.count:
                raise Changed(counted(self.count, len(self.data)))
            return self.data[k]
        iterator, at = self._iterator, self._next
        if iterator is None or k < at:
            iterator, at = iter(self.data), 0
        self._iterator, pair = None, None  # whatever the data raises, the next walk starts anew
        while at <= k:
            try:
                pair = next(iterator)
            except StopIteration:
                raise Changed(counted(self.count, at)) from None
            at += 1
        if at == self.count and next(iterator, None) is not None:
            raise Changed(counted(self.count, "more"))
        if at < self.count:
            self._iterator, self._next = iterator, at
        return pair


def read(data: Any, dtype: torch.dtype, weigh: Callable[[Any, Any], Fraction]) -> tuple[Chunk, ...]:
    """The chunks of some data, after a first pass over it.

    Args:
        data: A pair (x, y), or an iterable of such pairs.
        dtype: The type of its floats in the cost.
        weigh: A chunk's weight from its x and y, exactly.

    Raises:
        Misuse: For data that is no data, with the remedy.
    """
    whole = is_pair(data)
    source = Source([data] if whole else data, dtype)
    chunks, size, specs = [], 0, {}
    for k, pair in enumerate(_walk(source.data)):
        flat, spec = flatten(pair)
        tensors = converted(flat, dtype)
        x, y = pytree.tree_unflatten(tensors, spec)
        _sound(tensors, x)
        w = weigh(x, y)
        if w < 0:
            raise Misuse(f"a chunk has weight {float(w)}; weights must not be negative")
        size += sum(t.nbytes for t in tensors)
        if size > IN_MEMORY and not whole:
            source.kept = None
            _walkable(data, size)
        if source.kept is not None:
            source.kept.append(tensors if size > IN_MEMORY else tuple(t.clone() for t in tensors))
        shapes, dtypes = tuple(tuple(t.shape) for t in tensors), tuple(t.dtype for t in tensors)
        spec = specs.setdefault(str(spec), spec)
        chunks.append(Chunk(source, k, spec, w, shapes, dtypes, sha256(flat, spec)))
    if not chunks:
        raise Misuse("the data set is empty: it gave no chunk; a cost needs at least one data point")
    source.count = len(chunks)
    if source.kept is not None:
        if not isinstance(source.data, (tuple, list, Iterator)):
            _again(source.data, chunks)
        source.data = None
    return tuple(chunks)


def without_data() -> tuple[Chunk, ...]:
    """The only chunk of a cost that has no data."""
    source = Source(None, torch.float64)
    source.kept, source.count = [()], 1
    return (Chunk(source, 0, None, Fraction(1), (), (), ""),)


def is_pair(data: Any) -> bool:
    """Whether this is one (x, y), not a list of chunks."""
    return (
        isinstance(data, (tuple, list))
        and len(data) == 2
        and not (isinstance(data, list) and all(isinstance(d, (tuple, list)) for d in data))
    )


def flatten(pair: Any) -> tuple[Tensors, Any]:
    """A chunk's tensors on the CPU as the data has them, and their structure."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise Misuse(f"the data gave {type(pair).__name__}; every chunk must be a pair (x, y)")
    flat, spec = pytree.tree_flatten(tuple(pair))
    return tuple(_tensor(t) for t in flat), spec


def _tensor(t: Any) -> torch.Tensor:
    try:
        t = torch.as_tensor(t).detach().cpu()
    except (RuntimeError, TypeError, ValueError) as e:
        raise Misuse(f"the data holds {type(t).__name__}, which is no tensor: give tensors, arrays or numbers") from e
    if t.is_complex():
        raise Misuse("the data is complex; jensen answers about real costs: give real and imaginary parts")
    if t.layout is not torch.strided or t.is_nested:
        raise Misuse(
            f"the data holds a {'nested' if t.is_nested else t.layout} tensor: give dense ones (.to_dense(), padding)"
        )
    return t


def converted(flat: Tensors, dtype: torch.dtype) -> Tensors:
    """Floats in the cost's type, channels first; copies of what torch.inference_mode made, which no derivative could pass."""
    own = (t.clone() if t.is_inference() else t for t in flat)
    return tuple(channels_first(t.to(dtype) if t.is_floating_point() else t) for t in own)


def channels_first(t: torch.Tensor) -> torch.Tensor:
    """The same numbers, where their channels are last in memory, or could be said to be.

    Some of torch's derivatives read and write past the end of such tensors: in float32 those of 1 x 1 convolutions with a stride,
    and second ones of a group norm in its bias alone.
    """
    last = torch.channels_last if t.dim() == 4 else torch.channels_last_3d
    return t.contiguous().view(-1).view(t.shape) if t.dim() in (4, 5) and t.is_contiguous(memory_format=last) else t


def _sound(tensors: Tensors, x: Any) -> None:
    if any(t.is_floating_point() and not torch.isfinite(t).all() for t in tensors):
        raise Misuse("the data holds NaN or infinity; clean it first: J would not be a real number")
    if rows(x) == 0:
        raise Misuse("the data set is empty: x has no rows; a cost needs at least one data point")


def sha256(flat: Tensors, spec: Any) -> str:
    """Of a chunk's structure, and of each tensor's type, shape and bytes."""
    h = hashlib.sha256(str(spec).encode())
    for t in flat:
        h.update(f"{t.dtype} {tuple(t.shape)}".encode())
        h.update(t.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return h.hexdigest()


def same(chunk: Chunk, digest: str) -> None:
    """Refuse a chunk that is not the one of the first pass."""
    if digest != chunk.sha256:
        raise Changed(
            f"the data differed on two passes: chunk {chunk.index} had sha256 {chunk.sha256[:12]}... at first and "
            f"{digest[:12]}... later; {STABLE}"
        )


def counted(first: int, later: int | str) -> str:
    """What is said of another number of chunks."""
    return f"the data differed on two passes: it gave {first} chunks at first and {later} later; {STABLE}"


def _again(data: Iterable[Any], chunks: list[Chunk]) -> None:
    """A second pass over data that is kept: it would not be one function of the parameters if it differed."""
    n = 0
    for n, pair in enumerate(data, start=1):
        if n > len(chunks):
            raise Changed(counted(len(chunks), "more"))
        same(chunks[n - 1], sha256(*flatten(pair)))
    if n < len(chunks):
        raise Changed(counted(len(chunks), n))


def _walk(data: Any) -> Iterator[Any]:
    try:
        return iter(data)
    except TypeError:
        raise Misuse(f"the data is {type(data).__name__}; give (x, y), or an iterable of such pairs") from None


def _walkable(data: Any, size: int) -> None:
    """Data that is not kept must be there on the next pass."""
    if isinstance(data, Iterator):
        raise Misuse(
            f"the data is {type(data).__name__}, which can be walked only once, and too large to keep (beyond "
            f"{IN_MEMORY / 2**20:.0f} MB after {size / 2**20:.0f} MB read): give a DataLoader, a list, or an object "
            f"whose __iter__ starts again"
        )
