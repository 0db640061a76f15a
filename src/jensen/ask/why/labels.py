"""By which mechanism does an operation bend the cost?

Read off the program, not off module names: what the operation is, which of its inputs depend on parameters, on which
side of the model's output it stands, and, for normalisation and attention, the few operations around it:

- penalty, loss: what stands in the penalty or past the model's output;
- normalisation: a value multiplied or divided by a power of a statistic (mean, sum, norm) of its own source, and what
  lies between the statistic and that product;
- attention: a softmax whose scores are a product of two values that both depend on parameters (no layer's product with
  its weights) and which weighs a third, with those two products;
- product of parameters: any other product or quotient of two values that both depend on parameters;
- activation: any other nonlinear operation on one value;
- other operation: what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from jensen.kernel.program import Node, Program, Ref, refs
from jensen.linalg.jets_kinds import LINEAR, PIECES, PRODUCTS

PRODUCT, ACTIVATION, NORMALISATION = "product of parameters", "activation", "normalisation"
ATTENTION, LOSS, PENALTY, OTHER = "attention", "loss", "penalty", "other operation"

MULTIPLIES = PRODUCTS | {"aten.div.Tensor"}
ALONG = {"aten.prod.dim_int", "aten.cumprod.default"}
SOFTMAX = {"aten.softmax.int", "jensen.masked_softmax"}
STATISTICS = {"aten.mean.dim", "aten.sum.dim_IntList", "aten.linalg_vector_norm.default", "aten.avg_pool2d.default",
              "aten.avg_pool3d.default"}  # fmt: skip
POWERS = {"aten.pow.Tensor_Scalar", "aten.abs.default"}
BOUNDS = {op for op in PIECES if "clamp" in op or "maximum" in op} | {"jensen.variance"}
CAP = "aten.tanh.default"  # some networks bound attention's scores by it
NEAR = 24  # operations looked at around a candidate

Moves = Callable[[int], bool]


def labels(program: Program, roles: Sequence[str]) -> list[str]:
    """The mechanism of every node; nothing can be said of linear ones, which have no share."""
    reader = Reader(program)
    whole = [role or inherited for role, inherited in zip(roles, _inherited(program, roles), strict=True)]
    special: dict[int, str] = {}
    for i, node in enumerate(program.nodes):
        if whole[i] in (LOSS, PENALTY):
            continue
        if node.op in MULTIPLIES:
            special.update(dict.fromkeys(reader.normalised(i), NORMALISATION))
        if node.op in SOFTMAX:
            special.update(dict.fromkeys(reader.attending(i), ATTENTION))
    return [
        whole[i] if whole[i] in (LOSS, PENALTY) else special.get(i) or reader.plain(node)
        for i, node in enumerate(program.nodes)
    ]


def sides(program: Program, roles: Sequence[str]) -> list[str]:
    """Model, loss or penalty for every node; nothing where the cost is a function without these parts."""
    return [role or other for role, other in zip(roles, _inherited(program, roles), strict=True)]


def _inherited(program: Program, roles: Sequence[str]) -> list[str]:
    """The part of the cost that a node without one belongs to: the last one that its inputs belong to."""
    order = {"": 0, "model": 1, PENALTY: 2, LOSS: 3}
    out: list[str] = []
    for node in program.nodes:
        out.append(max((roles[j] or out[j] for j in refs(node.args)), key=lambda r: order[r], default=""))
    return out


class Reader:
    """A program with what depends on parameters, and who reads whom."""

    def __init__(self, program: Program):
        self.nodes = program.nodes
        self.moving: list[bool] = []
        self.readers: list[list[int]] = [[] for _ in program.nodes]
        for i, node in enumerate(program.nodes):
            inputs = list(dict.fromkeys(refs(node.args)))
            self.moving.append(node.op == "block" or any(self.moving[j] for j in inputs))
            for j in inputs:
                self.readers[j].append(i)

    def inputs(self, i: int) -> list[int]:
        """The inputs of a node that depend on parameters."""
        return [j for j in dict.fromkeys(refs(self.nodes[i].args)) if self.moving[j]]

    def plain(self, node: Node) -> str:
        """The mechanism of an operation by itself."""
        count = sum(self.moving[j] for j in dict.fromkeys(refs(node.args)))
        if node.op in ALONG or (node.op in MULTIPLIES and self._factors(node) == 2):
            return PRODUCT
        return ACTIVATION if count == 1 or node.op in PIECES else OTHER

    def _factors(self, node: Node) -> int:
        return len({a.index for a in node.args[:2] if type(a) is Ref and self.moving[a.index]})

    # -- normalisation -------------------------------------------------------------------------------------------

    def normalised(self, i: int) -> set[int]:
        """What belongs to a normalisation that ends in this product, or nothing."""
        node = self.nodes[i]
        if self._factors(node) < 2:
            return set()
        left, right = (a.index for a in node.args[:2])
        for value, scale in ((left, right), (right, left)):
            if scale == left and node.op == "aten.div.Tensor":
                continue
            trail = self._trail(scale, self._source(value), False, {})
            if trail and (node.op == "aten.div.Tensor" or any(self._inverts(self.nodes[j]) for j in trail)):
                return {i, *trail}
        return set()

    def _trail(
        self, j: int, source: set[int], inside: bool, known: dict[tuple[int, bool], set[int] | None], near: int = NEAR
    ) -> set[int] | None:
        """The nodes from a scale back through a statistic to a value's source; None if they do not lead there."""
        if inside and j in source:
            return set()
        node = self.nodes[j]
        key = (j, inside)
        if key in known or near == 0 or not self._rescales(node, inside):
            return known.get(key)
        known[key] = None
        inside = inside or node.op in STATISTICS
        trails = [self._trail(k, source, inside, known, near - 1) for k in self.inputs(j)]
        found = [t for t in trails if t is not None]
        known[key] = {j}.union(*found) if found else None
        return known[key]

    def _rescales(self, node: Node, inside: bool) -> bool:
        """Whether an operation may stand between a value's source, a statistic, and what the statistic scales."""
        square = node.op == "aten.mul.Tensor" and len(set(refs(node.args))) == 1
        plain = node.op in LINEAR or node.op in STATISTICS or node.op in POWERS
        return plain or square or (not inside and (node.op in BOUNDS or node.op in MULTIPLIES))

    def _inverts(self, node: Node) -> bool:
        return node.op == "aten.div.Tensor" or (node.op == "aten.pow.Tensor_Scalar" and node.args[1] < 0)

    def _source(self, i: int) -> set[int]:
        """A value and what it is made of by linear operations."""
        seen: set[int] = set()
        todo = [i]
        while todo and len(seen) < NEAR:
            j = todo.pop()
            if j in seen:
                continue
            seen.add(j)
            if self.nodes[j].op in LINEAR:
                todo += self.inputs(j)
        return seen

    # -- attention -----------------------------------------------------------------------------------------------

    def attending(self, i: int) -> set[int]:
        """A softmax with the product that gives its scores and the one that it weighs; nothing if it lacks one."""
        before = self._product(self.inputs(i)[:1], self.inputs)
        after = self._product(self.readers[i], lambda j: self.readers[j])
        scores = {j for j in before if self.nodes[j].op in ("aten.matmul.default", "aten.mul.Tensor")}
        return {i, *scores, *after} if scores and after else set()

    def _product(self, start: Iterable[int], onward: Callable[[int], list[int]]) -> set[int]:
        """The first products of two moving values, past linear operations, constant factors and a cap on scores."""
        found: set[int] = set()
        seen: set[int] = set()
        todo = list(start)
        while todo and len(seen) < NEAR:
            j = todo.pop()
            node = self.nodes[j]
            if j in seen or not self.moving[j]:
                continue
            seen.add(j)
            if node.op in MULTIPLIES and self._factors(node) == 2:
                found.add(j)
            elif node.op in LINEAR or node.op in MULTIPLIES or node.op == CAP:
                todo += onward(j)
        return found
