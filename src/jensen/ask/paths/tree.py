"""``jensen.barriers``: the barrier between each pair of several points, and their minimum spanning tree.

Draxler et al. 2018 join minima like this: the tree of the lowest passes holds, for any two minima, the way whose highest
pass is lowest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree

from jensen.ask.paths.answers import Barriers
from jensen.ask.paths.barrier import barrier
from jensen.ask.paths.points import read
from jensen.cost import Cost
from jensen.errors import Misuse


def barriers(cost: Cost, points: Sequence[Any], aligned: bool = False, **options: Any) -> Barriers:
    """The barriers between all pairs of points.

    Args:
        cost: A :class:`jensen.Cost`.
        points: At least two, each as for :func:`jensen.barrier`, which gets the options too.
        aligned: Whether to align the second point of each pair to the first.

    Raises:
        Misuse: For fewer than two points, or points that are none of this cost.
    """
    begun = time.perf_counter()
    known = [read(cost, p, f"points[{k}]") for k, p in enumerate(points)]
    if len(known) < 2:
        raise Misuse(f"{len(known)} points have no barrier between them; give at least two")
    k = len(known)
    heights, passes = np.zeros((k, k)), np.zeros((k, k))
    for i, j in combinations(range(k), 2):
        found = barrier(cost, known[i], known[j], aligned, **options)
        heights[i, j] = heights[j, i] = found.height
        passes[i, j] = passes[j, i] = found.rise + max(found.ends)
        passes[i, i], passes[j, j] = found.ends
    edges = spanning_tree(passes)
    top = max(passes[e] for e in edges)
    statement = (
        f"{k} points are joined by {k - 1} segments, on which J is at most {top:.6g}, as far as it was evaluated."
    )
    return Barriers(heights, passes, edges, _bottlenecks(passes, edges), statement, time.perf_counter() - begun)


def spanning_tree(passes: np.ndarray) -> tuple[tuple[int, int], ...]:
    """The edges (i, j), i < j, of the minimum spanning tree of a full symmetric matrix, lowest first.

    scipy takes zeros for missing edges: only the order of the weights matters, so they are given as ranks from one.
    """
    i, j = np.triu_indices(len(passes), 1)
    order = np.argsort(passes[i, j], kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    tree = minimum_spanning_tree(csr_array((ranks, (i, j)), shape=passes.shape)).tocoo()
    found = sorted(zip(tree.data.tolist(), tree.coords[0].tolist(), tree.coords[1].tolist(), strict=True))
    return tuple((min(a, b), max(a, b)) for _, a, b in found)


def _bottlenecks(passes: np.ndarray, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """The highest J on the way through the tree, for each pair: edges join components, lowest first (Kruskal)."""
    out = np.diag(np.diag(passes))
    group = {i: [i] for i in range(len(passes))}
    for i, j in edges:
        left, right = group[i], group[j]
        out[np.ix_(left, right)] = passes[i, j]
        out[np.ix_(right, left)] = passes[i, j]
        joined = left + right
        for member in joined:
            group[member] = joined
    return out
