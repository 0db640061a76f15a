"""Convex problems that theorems tie to a cost of known structure.

They are other problems, in other variables, so they are listed apart from the remedies. Where the problem is built here,
the kernel's proof that it is convex comes with it; that it is tied to the cost is the theorem's word.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from jensen.ask.remedies.answer import Reformulation, Remedy
from jensen.ask.remedies.changed import model_of
from jensen.ask.remedies.ground import Ground, proof
from jensen.ask.remedies.losses import first
from jensen.ask.remedies.surgery import rewired
from jensen.atoms import registry
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.finding import Finding
from jensen.kernel.check import Claim
from jensen.kernel.claims.words import listing
from jensen.kernel.program import Node, Problem, Program, Ref, refs
from jensen.linalg.torch_reading import run
from jensen.surgery import with_program
from jensen.trace import trace

Shape = tuple[int, ...]
PRODUCTS = {"aten.matmul.default", "aten.linear.default", "aten.mul.Tensor"}


def search(ground: Ground, remedies: list[Remedy]) -> list[Reformulation]:
    """Reformulations that are known to apply."""
    if ground.done.kind or ground.within:
        return []
    found = [] if ground.cost._penalty is not None else list(_deep_linear(remedies))
    found += [r for r in (_product(ground), _two_layers(ground)) if r is not None]
    return found


def _deep_linear(remedies: list[Remedy]) -> Iterator[Reformulation]:
    for r in remedies:
        if r.kind == "collapse" and not r.frozen and r.price.startswith("the same family"):
            yield Reformulation(
                "deep linear network with a convex loss",
                "Baldi and Hornik, 1989; Laurent and von Brecht, 2018: every local minimum is a global one, and it is "
                "that of the linear map",
                "the layers are linear, and none between is narrower than both ends",
                "the same minimum, reached in the product of the weights",
                r.finding,
            )


# -- two blocks that occur only as their product --------------------------------------------------------------------


def _product(ground: Ground) -> Reformulation | None:
    """The product of two blocks as the variable."""
    program = ground.problem.terms[0].program
    if len(ground.problem.terms) != 1:
        return None
    for i, node in enumerate(program.nodes):
        pair = _factors(program, i) if node.op in PRODUCTS else None
        if pair is None:
            continue
        problem = _replaced(ground, program, i, pair)
        finding = None if problem is None else proof(problem, Claim("convex", tuple(problem.blocks), {}))
        if finding is not None:
            return _factorisation(ground, program, i, pair, finding)
    return None


def _factors(program: Program, i: int) -> tuple[str, str] | None:
    """The two blocks whose product a node is, if nothing else reads them."""
    args = program.nodes[i].args
    if len(args) > 2 and args[2] is not None:
        return None
    names = [_source(program, a.index) for a in args[:2] if type(a) is Ref]
    if len(names) != 2 or None in names or names[0] == names[1]:
        return None
    return str(names[0]), str(names[1])


def _source(program: Program, j: int) -> str | None:
    """The block behind a node that only moves its elements, if it is read nowhere else."""
    atoms = registry()
    while True:
        readers = sum(list(refs(n.args)).count(j) for n in program.nodes)
        node = program.nodes[j]
        if readers != 1 or j == program.output:
            return None
        if node.op == "block":
            return str(node.args[0])
        atom = atoms.get(node.op)
        inner = list(refs(node.args))
        if atom is None or not atom.moves or len(inner) != 1:
            return None
        j = inner[0]


def _replaced(ground: Ground, program: Program, i: int, pair: tuple[str, str]) -> Problem | None:
    """The problem with a new block in place of a product."""
    term = ground.problem.terms[0]
    shape = tuple(_at(ground, program, i).shape)
    name = f"product of {pair[0]} and {pair[1]}"
    nodes = list(program.nodes)
    nodes[i] = Node(name, "block", (name,))
    slim = rewired(Program(tuple(nodes), program.output), {}, {})
    leaves = slim.leaves("block")
    blocks = {n: s for n, s in {**ground.problem.blocks, name: shape}.items() if n in leaves}
    return Problem((with_program(term, slim),), blocks)


def _factorisation(ground: Ground, program: Program, i: int, pair: tuple[str, str], finding: Finding) -> Reformulation:
    values = (_at(ground, program, j) for j in refs(program.nodes[i].args))
    rank, full = _rank(program.nodes[i].op, *(tuple(t.shape) for t in values))
    exact = f"the same minimum: every value of the product can be reached (inner dimension {rank})"
    bound = f"a lower bound: the product has rank at most {rank}, and {full} would be needed for every value"
    return Reformulation(
        "factorisation: the product as the variable",
        "for the penalty |U|^2 + |V|^2 it is twice the nuclear norm of the product (Srebro, Rennie and Jaakkola, 2005; "
        "Recht, Fazel and Parrilo, 2010)",
        f"{listing(pair)} occur in J only as their product",
        exact if rank >= full else bound,
        finding,
    )


def _at(ground: Ground, program: Program, i: int) -> Tensor:
    """A node's value at the current parameters."""
    return run(Program(program.nodes[: i + 1], i), ground.problem.terms[0].tensors, ground.cost.theta)


def _rank(op: str, left: Shape, right: Shape) -> tuple[int, int]:
    """The inner dimension of a product, and one with which every value of the product can be reached."""
    if op == "aten.mul.Tensor":
        out = torch.broadcast_shapes(left, right)
        return 1, 1 if out in (left, right) else min(prod(left), prod(right))
    *batch, rows, inner = left if len(left) > 1 else (1, *left)
    right = right[::-1] if op == "aten.linear.default" else right if len(right) > 1 else (*right, 1)
    *others, _, columns = right
    if batch == others:  # a product for each
        return inner, min(rows, columns)
    return inner, min(prod(batch) * rows, prod(others) * columns)


# -- two layers with ReLU between -----------------------------------------------------------------------------------


class Gated(nn.Module):
    """Sum over the units' activation patterns D of D * (x V): linear in V."""

    def __init__(self, units: int, inputs: int, outputs: int):
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(units, inputs, outputs, dtype=torch.float64))
        self.shift = nn.Parameter(torch.zeros(outputs, dtype=torch.float64))

    def forward(self, gates: Tensor, x: Tensor) -> Tensor:
        return torch.einsum("nu,ni,uio->no", gates, x, self.vectors) + self.shift


def _two_layers(ground: Ground) -> Reformulation | None:
    """Two linear layers with ReLU between them."""
    layers = None if ground.function else _layers(model_of(ground.cost))
    if layers is None:
        return None
    finding = _gated(ground.cost, *layers)
    if finding is None:
        return None
    return Reformulation(
        "convex programme of a two-layer ReLU network",
        "Pilanci and Ergen, 2020 (several outputs: Sahiner, Ergen, Pauly and Pilanci, 2021; without the cone constraints: "
        "Mishkin, Sahiner and Pilanci, 2022)",
        "two linear layers with ReLU between and a convex loss; with weight decay on both layers",
        "exact from a number of hidden units on that the theorem names; one vector for each activation pattern of the data, "
        "of which there are about (n / d)^d, and cone constraints; the proof is about the version with the activation "
        "patterns of the current units and without those constraints",
        finding,
    )


def _layers(model: nn.Module) -> tuple[nn.Linear, nn.Linear] | None:
    """The two layers of a Sequential of a linear layer, ReLU and a linear layer."""
    rest = [m for m in model if not isinstance(m, nn.Identity)] if isinstance(model, nn.Sequential) else []
    if len(rest) != 3 or not isinstance(rest[1], nn.ReLU):
        return None
    return (rest[0], rest[2]) if isinstance(rest[0], nn.Linear) and isinstance(rest[2], nn.Linear) else None


def _gated(cost: Cost, hidden: nn.Linear, last: nn.Linear) -> Finding | None:
    """A proof for the gated network with the patterns of the current units."""
    x, _, _ = first(cost)
    if not isinstance(x, Tensor) or x.dim() != 2 or cost.streamed:
        return None
    data: list[Any] = []
    for chunk in cost._chunks:
        x, y = pytree.tree_unflatten(list(chunk.tensors), chunk.spec)
        with torch.no_grad():
            gates = (hidden.to(x.dtype)(x) > 0).to(x.dtype)
        data.append(((gates, torch.cat([x, torch.ones_like(x[:, :1])], 1)), y))
    try:
        gated = Gated(hidden.out_features, hidden.in_features + 1, last.out_features)
        made = Cost(gated, cost._loss, data, None, cost._reduction, cost._weight, cost._dtype)
        problem = trace(made).problem
    except Misuse:
        return None
    return proof(problem, Claim("convex", tuple(made.blocks), {}), ("rules",))
