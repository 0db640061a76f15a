"""The reading of enclosures: a program's output at several points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from jensen.kernel.errors import Rejected
from jensen.kernel.program import Linked
from jensen.kernel.readings import node_value

BALLS = 2**25  # in one value: as many numbers as a certificate may hold


class Points:
    """Enclosures of a program's output at several points, computing once what the points share."""

    def __init__(
        self, linked: Linked, tensors: Mapping[str, np.ndarray], fixed: Mapping[str, np.ndarray], moved: set[str]
    ):
        sizes = [prod(s) for s in linked.shapes]
        if max(sizes) > BALLS or sum(sizes) > 32 * BALLS:
            raise Rejected(
                "program", "values that fit into memory", f"enclosures of {sum(sizes)} elements are too many"
            )
        self.linked, self.tensors, self.fixed, self.moved = linked, tensors, fixed, moved
        self.moving: list[bool] = []
        for node, inputs in zip(linked.nodes, linked.inputs, strict=True):
            is_moved = node.op == "block" and node.args[0] in moved
            self.moving.append(is_moved or any(self.moving[j] for j in inputs))
        self.shared: dict[int, Any] | None = None

    def value(self, point: Mapping[str, np.ndarray]) -> Any:
        """The output at one point, given the moved blocks as arrays of floats or balls."""
        if self.shared is None:
            self.shared = self._run({}, lambda i: not self.moving[i], {})
        values = self._run(dict(self.shared), lambda i: self.moving[i], point)
        return values[self.linked.output]

    def _run(
        self, values: dict[int, Any], select: Callable[[int], bool], point: Mapping[str, np.ndarray]
    ) -> dict[int, Any]:
        linked = self.linked
        last = _last_uses(linked)
        todo = [i for i in range(len(linked.nodes)) if select(i)]
        keep = {linked.output} | {j for i in range(len(linked.nodes)) if not select(i) for j in linked.inputs[i]}
        blocks = {**self.fixed, **point}
        for i in todo:
            values[i] = node_value(linked, self.tensors, i, values, blocks)
            for j in linked.inputs[i]:
                if last[j] == i and j not in keep:
                    values.pop(j, None)
        return values


def _last_uses(linked: Linked) -> list[int]:
    last = [-1] * len(linked.nodes)
    for i, inputs in enumerate(linked.inputs):
        for j in inputs:
            last[j] = i
    return last
