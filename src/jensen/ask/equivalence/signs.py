"""Signs that carry one point to another, where everything else agrees: a spanning forest of the strongest evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from jensen.ask.equivalence.layout import Placed

PASSES = 3
WEAK = 1e-18  # evidence relative to the strongest: products of two entries


def solved(factors: Sequence[Placed], a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> list[Tensor]:
    """For each factor the signs (k,), float64, with which a becomes b; +1 where nothing tells.

    Each entry's product a * b votes for the product of the signs that stand on it. Entries with one unknown sign tie it to
    the ground, those with two tie them to each other; entries with more wait until some of theirs are known.
    """
    starts = np.cumsum([0, *(f.signs for f in factors)])
    total = int(starts[-1])
    sign, ground = torch.ones(total, dtype=torch.float64), torch.zeros(total, dtype=torch.bool)
    if total:
        tokens = _tokens(factors, a, starts)
        for _ in range(PASSES):
            pairs = _evidence(tokens, a, b, sign, ground, total)
            _walk(pairs, sign, ground, total)
            if ground.all():
                break
    return [sign[i:j] for i, j in pairwise(starts)]


def _tokens(factors: Sequence[Placed], a: Mapping[str, Tensor], starts: np.ndarray) -> dict[str, list[Tensor]]:
    """For each block the numbers of the signs on each entry: one tensor for each site, -1 where it does not reach."""
    out: dict[str, list[Tensor]] = {n: [] for n in a}
    for f, start in zip(factors, starts, strict=False):
        for p in f.signed:
            layer = torch.full((a[p.block].numel(),), -1)
            number = f.sign_of(p)
            number = torch.where(number >= 0, number + int(start), number)
            layer[p.index.reshape(-1)] = number.expand(p.index.shape).reshape(-1)
            out[p.block].append(layer)
    return out


def _evidence(
    tokens: Mapping[str, Sequence[Tensor]],
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    sign: Tensor,
    ground: Tensor,
    total: int,
) -> coo_array:
    """(total + 1, total + 1): the votes for the products of two unknown signs; the last one is the ground."""
    parts = []
    for name, layers in tokens.items():
        if not layers:
            continue
        vote = (a[name] * b[name]).reshape(-1).double()
        stack = torch.stack(list(layers))
        known = (stack >= 0) & ground[stack.clamp_min(0)]
        vote = vote * torch.where(known, sign[stack.clamp_min(0)], 1.0).prod(0)
        unknown = torch.where((stack >= 0) & ~known, stack, torch.tensor(-1)).sort(0, descending=True).values
        while len(unknown) < 2:
            unknown = torch.cat([unknown, torch.full_like(unknown[:1], -1)])
        twice = unknown[0] == unknown[1]  # both axes of one class: the square of a sign
        use = (unknown[0] >= 0) & (unknown[2:] < 0).all(0) & ~twice & (vote != 0)
        i, j = unknown[0][use], torch.where(unknown[1][use] >= 0, unknown[1][use], total)
        parts.append((i.numpy(), j.numpy(), vote[use].numpy()))
    if not parts:
        return coo_array((total + 1, total + 1))
    i, j, v = (np.concatenate(column) for column in zip(*parts, strict=True))
    votes = coo_array((v, (np.minimum(i, j), np.maximum(i, j))), shape=(total + 1, total + 1))
    votes.sum_duplicates()
    return votes


def _walk(votes: coo_array, sign: Tensor, ground: Tensor, total: int) -> None:
    """Read the signs off the maximum spanning forest, from the ground first and then from any unit of each other tree."""
    data = votes.data
    keep = np.abs(data) > WEAK * np.abs(data).max(initial=0.0)
    row, col, data = votes.coords[0][keep], votes.coords[1][keep], data[keep]
    if not len(data):
        return
    order = np.argsort(-np.abs(data), kind="stable")
    rank = np.empty(len(data))
    rank[order] = np.arange(1, len(data) + 1)
    shape = (total + 1, total + 1)
    tree = minimum_spanning_tree(coo_array((rank, (row, col)), shape=shape).tocsr())
    product = coo_array((np.sign(data), (row, col)), shape=shape).tocsr()
    product = product + product.T
    seen = np.zeros(total + 1, dtype=bool)
    for root in [total, *range(total)]:
        if seen[root] or (root < total and ground[root]):
            continue
        nodes, before = breadth_first_order(tree, root, directed=False)
        seen[nodes] = True
        value = {int(root): 1.0}
        for node in nodes[1:]:
            value[int(node)] = value[int(before[node])] * product[int(before[node]), int(node)]
        for node, s in value.items():
            if node < total and len(nodes) > 1:
                sign[node] = s
                ground[node] = True
