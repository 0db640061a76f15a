"""Is the continuous part complete? Parameters less the rank of the outputs' Jacobian at a generic point, on generic data.

What moves the parameters and no output lies in the null space of that Jacobian, so its dimension bounds the dimension of the
group from above at a generic point; where both are equal, nothing continuous is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jensen.ask.symmetry.tried import scattered
from jensen.kernel.program import Problem, Program, Term, refs
from jensen.linalg.torch_reading import run_all

LIMIT = 1000  # parameters up to which the rank is computed
SPARE = 40  # rows more than parameters
GAP = 1e-9  # singular values above this, relative to the largest, count; so do smaller ones that stand above the widest gap
NOISE = 1e-16  # below this none is told from another
SETS = 24  # random data sets
POINTS = 12
SMALL = 300  # parameters up to which all points are looked at


@dataclass(frozen=True)
class Completeness:
    """How the group's dimension compares with what the Jacobian leaves free.

    Attributes:
        verdict: ``complete here``, ``more redundancy here than the architecture explains``, or ``not checked``.
        reason: Why not, or nothing.
        parameters, rank: Of the Jacobian of the outputs (log-softmax where the loss takes it).
        gap: The last singular value that counts and the first that does not, relative to the largest.
    """

    verdict: str
    reason: str = ""
    parameters: int = 0
    rank: int = 0
    gap: tuple[float, float] = (0.0, 0.0)


def complete(problem: Problem, roles: tuple[str, ...], theta: Mapping[str, Tensor], dimension: int) -> Completeness:
    """Compare at a generic point on generic data."""
    n = sum(t.numel() for t in theta.values())
    if n > LIMIT:
        return Completeness("not checked", f"{n} parameters are more than {LIMIT}", n)
    term = problem.terms[0]
    cut = outputs(term.program, roles)
    if not cut:
        return Completeness("not checked", "the cost does not tell outputs from loss", n)
    rank, gap = 0, (0.0, 0.0)
    for seed in range(
        POINTS
    ):  # the rank is largest at generic points: a unit that never switches at one does at another
        found = _rank(singular_values(term, cut, theta, n, seed))
        again = n > SMALL and found[0] == rank  # the same at two points
        rank, gap = max((rank, gap), found)
        if again or n - rank <= dimension:
            break
    if n - rank == dimension:
        return Completeness("complete here", "", n, rank, gap)
    if n - rank > dimension:
        return Completeness(
            "more redundancy here than the architecture explains",
            f"{n - rank} free directions, {dimension} explained",
            n,
            rank,
            gap,
        )
    return Completeness(
        "not checked",
        f"the Jacobian leaves {n - rank} directions free, fewer than {dimension}: the loss does not feel all outputs",
        n,
        rank,
        gap,
    )


def _rank(values: np.ndarray) -> tuple[int, tuple[float, float]]:
    """How many singular values count, and the two on both sides of the gap, relative to the largest."""
    top = values[0] if values.size and values[0] > 0 else 1.0
    relative = values / top
    rank = int((relative > GAP).sum())
    if 0 < rank < len(values):  # deep networks have small values that are not 0: these are at rounding's size
        raised = np.maximum(relative[rank - 1 :], NOISE)
        rank += int(np.argmax(raised[:-1] / raised[1:]))
    return rank, (
        float(relative[rank - 1]) if rank else 0.0,
        float(relative[rank]) if rank < len(values) else 0.0,
    )


def outputs(program: Program, roles: tuple[str, ...]) -> list[int]:
    """The values of the model that its loss reads, after a log-softmax where that is what reads them."""
    users: dict[int, list[int]] = {}
    for k, node in enumerate(program.nodes):
        for j in refs(node.args):
            users.setdefault(j, []).append(k)
    moved = _depends(program)
    cut = []
    for i, node in enumerate(program.nodes):
        if not moved[i] or node.op == "const":
            continue
        read = [k for k in users.get(i, []) if roles[k] == "loss"]
        if read and (roles[i] == "model" or node.op == "block"):
            cut += _normalised(program, users, i, read)
    return list(dict.fromkeys(cut)) or _without_roles(program, moved)


def _normalised(program: Program, users: Mapping[int, list[int]], i: int, read: list[int]) -> list[int]:
    """A value, or the log-softmax of it where (after moves alone) nothing else reads it."""
    out = []
    for k in read:
        op = program.nodes[k].op
        if op == "aten.log_softmax.int":
            out.append(k)
        elif op in ("aten.permute.default", "aten.transpose.int", "aten.view.default"):
            out += _normalised(program, users, k, users.get(k, []))
        else:
            return [i]
    return out or [i]


def _without_roles(program: Program, moved: list[bool]) -> list[int]:
    """Of a function without a model: what a constant is taken from."""
    return [
        a
        for k, node in enumerate(program.nodes)
        if node.op == "aten.sub.Tensor"
        for a in refs(node.args)
        if moved[a] and any(not moved[b] for b in refs(node.args))
    ]


def _depends(program: Program) -> list[bool]:
    out: list[bool] = []
    for node in program.nodes:
        out.append(node.op == "block" or any(out[j] for j in refs(node.args)))
    return out


def singular_values(term: Term, cut: list[int], theta: Mapping[str, Tensor], n: int, seed: int) -> np.ndarray:
    """Of the outputs' Jacobian, rows from as many random data sets as it takes."""
    generator = torch.Generator().manual_seed(1889 + seed)
    point = {name: t.requires_grad_() for name, t in scattered(dict(theta), generator, 0.3 * (1 + seed)).items()}
    rows: list[Tensor] = []
    most = -(-2 * (n + SPARE) // SETS) if term.data else n + SPARE
    for _ in range(SETS):
        values = run_all(term.program, random_data(term, generator), point)
        rows.append(_jacobian(torch.cat([values[i].reshape(-1) for i in cut]), point, most, generator))
        if not term.data:
            break
    j = torch.cat(rows)
    return torch.linalg.svdvals(j / j.norm(dim=1, keepdim=True).clamp(min=1e-300)).numpy()


def _jacobian(flat: Tensor, point: Mapping[str, Tensor], most: int, generator: torch.Generator) -> Tensor:
    """All rows, or random combinations of them where they are more than wanted."""
    k = min(len(flat), most)
    seeds = (
        torch.eye(k, dtype=flat.dtype)
        if k == len(flat)
        else torch.randn(k, len(flat), generator=generator, dtype=flat.dtype)
    )
    grads = torch.autograd.grad(flat, list(point.values()), seeds, is_grads_batched=True, allow_unused=True)
    rows = [
        flat.new_zeros(k, t.numel()) if g is None else g.reshape(k, -1)  # None: nothing reads the block
        for g, t in zip(grads, point.values(), strict=True)
    ]
    return torch.cat(rows, dim=1).detach()


def random_data(term: Term, generator: torch.Generator) -> dict[str, np.ndarray]:
    """A term's constants with random numbers for its data; whole numbers stay within their range.

    Constants that hold the same numbers of the data in another shape or order hold the same random numbers.
    """
    out: dict[str, np.ndarray] = {}
    drawn: list[tuple[np.ndarray, np.ndarray]] = []
    for name, value in ((k, np.asarray(term.tensors[k])) for k in term.tensors):
        if name in term.data and value.dtype.kind == "f":
            again = next((r for old, new in drawn if (r := _again(value, old, new)) is not None), None)
            fresh = (
                torch.randn(value.shape, generator=generator, dtype=torch.float64).numpy() if again is None else again
            )
            drawn += [(value, fresh)] if again is None else []
            value = fresh
        elif name in term.data and value.dtype.kind == "i" and value.size:
            value = torch.randint(int(value.min()), int(value.max()) + 1, value.shape, generator=generator).numpy()
        out[name] = value
    return out


def _again(value: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray | None:
    """The random numbers of an array whose numbers are all those of another: in its order, or found by their values."""
    if value.size < 2:
        return None
    if value.size == old.size and np.array_equal(value.reshape(-1), old.reshape(-1)):
        return new.reshape(value.shape)
    known, first = np.unique(old, return_index=True)
    at = np.searchsorted(known, value).clip(max=len(known) - 1)
    same = len(known) == old.size and np.array_equal(known[at], value)
    return new.reshape(-1)[first[at]] if same else None
