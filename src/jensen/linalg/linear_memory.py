"""How much memory a traced graph takes, before it is run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, fx


def size(tensors: Iterable[Tensor], apart: Iterable[Tensor] = ()) -> int:
    """Bytes of the tensors' storages, each once; those of the tensors apart are not counted."""
    known = {t.untyped_storage()._cdata for t in apart}
    found = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
    return sum(nbytes for key, nbytes in found.items() if key not in known)


def peak(module: fx.GraphModule) -> int:
    """Bytes alive at once while the graph runs, its inputs apart: storages live from their making to their last use."""
    nodes = list(module.graph.nodes)
    last: dict[int, int] = {}
    made: dict[int, tuple[int, int]] = {}
    for i, node in enumerate(nodes):
        for n in (node, *node.all_input_nodes):
            for key, _ in _storages(n):
                last[key] = i
        if node.op == "call_function":
            for key, nbytes in _storages(node):
                made.setdefault(key, (i, nbytes))
        elif node.op == "placeholder":
            for key, _ in _storages(node):
                made[key] = (i, 0)
    change = [0] * (len(nodes) + 1)
    for key, (i, nbytes) in made.items():
        change[i] += nbytes
        change[last[key] + 1] -= nbytes
    now = top = 0
    for c in change:
        now += c
        top = max(top, now)
    return top


def _storages(node: fx.Node) -> list[tuple[int, int]]:
    value = node.meta.get("val")
    tensors = value if isinstance(value, (list, tuple)) else [value]
    return [(t.untyped_storage()._cdata, t.untyped_storage().nbytes()) for t in tensors if isinstance(t, Tensor)]


def available(device: torch.device) -> int:
    """Bytes that may be used: four fifths of what is free on the device, or in the process's control group."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * 0.8)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") + _cached()
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is not None and used is not None:
        free = min(free, max(limit - used, 0) + _inactive())
    return int(free * 0.8)


def resident() -> int:
    """Bytes of memory that this process takes now; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@cache
def keep_freed() -> None:
    """Let the process keep memory that it freed, for the next product or training step; once for a process.

    glibc maps large blocks anew at each use, and gives what is free at the end of its heap back, until a block of nearly
    32 MiB was mapped and freed: it then keeps what is smaller, up to 64 MiB of it (mallopt(3), M_MMAP_THRESHOLD). Paging memory in
    anew can take as long as what is computed. Where memory is managed otherwise, or ``MALLOC_TRIM_THRESHOLD_`` sets the limit,
    nothing happens.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def _cgroup(name: str) -> int | None:
    path = Path("/sys/fs/cgroup") / name
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _inactive() -> int:
    """Pages of files that the system gives up when memory is asked for."""
    return _field(Path("/sys/fs/cgroup/memory.stat"), "inactive_file ", 1)


def _cached() -> int:
    return _field(Path("/proc/meminfo"), "Cached:", 1024)


def _field(path: Path, start: str, unit: int) -> int:
    try:
        rows = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(row.split()[1]) * unit for row in rows if row.startswith(start)), 0)
