"""A numerical constant stands in the way: softplus's threshold, the clamp of a logarithm, an epsilon beneath it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from jensen.ask import refute
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import model_of, with_parts
from jensen.ask.remedies.edit import Edit, place
from jensen.ask.remedies.ground import Ground
from jensen.ask.remedies.losses import NEAR
from jensen.ask.remedies.surgery import changed, rewired
from jensen.errors import Misuse
from jensen.kernel.program import Node, Program, Ref, refs
from jensen.trace import trace

SMALL = 1e-3  # an epsilon is a constant below this
CLASS = '''class Softplus(torch.nn.Module):
    """log(1 + exp(beta x)) / beta without a threshold."""

    def __init__(self, beta):
        super().__init__()
        self.beta = beta

    def forward(self, x):
        return -torch.nn.functional.logsigmoid(-self.beta * x) / self.beta

'''


class Softplus(nn.Module):
    """log(1 + exp(beta x)) / beta without a threshold."""

    def __init__(self, beta: float):
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        return -F.logsigmoid(-self.beta * x) / self.beta


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """Remedies that take a numerical constant away, and why there is none."""
    found = [r for r in (_softplus(ground), _bare(ground), _ideal(ground)) if r is not None]
    return found, "no threshold, clamp or epsilon is what stands in the way"


def _ideal(ground: Ground) -> Remedy | None:
    """Ask about the function that the constant approximates."""
    ops = {node.op for term in ground.problem.terms for node in term.program.nodes}
    blocks = ground.news(ground.problem, ideal=True) if ops & set(refute.DEFECTS) else None
    if blocks is None:
        return None
    words = f"read {refute.constants(ground.problem)} as what it stands for"
    price = "the question is about the ideal function; torch computes another one, by that constant"
    edit = Edit("constant", words, price, NEAR, ("# no edit: jensen.check(cost, ideal=True)",))
    return ground.offer(edit, ground.problem, blocks, cost=ground.cost, ideal=True, methods=("rules",))


def _softplus(ground: Ground) -> Remedy | None:
    """Write softplus modules without a threshold."""
    model = None if ground.function else model_of(ground.cost)
    places = [] if model is None else [(p, m) for p, m in model.named_modules() if p and isinstance(m, nn.Softplus)]
    if model is None or not places:
        return None
    code = []
    for path, module in places:
        model.set_submodule(path, Softplus(float(module.beta)))
        code.append(f"{place(model, path)} = Softplus({module.beta!r})")
    try:
        cost = with_parts(ground.cost, model=model)
        problem = trace(cost).problem
    except Misuse:
        return None
    blocks = ground.news(problem)
    if blocks is None:
        return None
    words = f"write Softplus ({', '.join(path for path, _ in places)}) as -logsigmoid(-x), which has no threshold"
    price = f"the same function, but for {refute.constants(ground.problem)}"
    return ground.offer(Edit("constant", words, price, NEAR, (CLASS, *code)), problem, blocks, cost=cost)


def _bare(ground: Ground) -> Remedy | None:
    """Drop an epsilon that is added to, or a clamp of, the argument of a logarithm."""
    for guards in _guards(ground.problem.terms[0].program):
        names = {n.name for n in guards}
        problem = changed(ground.problem, lambda program, names=names: _without(program, names))
        blocks = None if problem is None else ground.news(problem)
        if problem is None or blocks is None:
            continue
        words = " and ".join(f"{n.op.split('.')[1]} with {_constant(n):g} ({n.name})" for n in guards)
        price = "another function where that constant is felt, and the plain logarithm may round to infinity"
        code = f"# take the logarithm without {words}: log_softmax and logsigmoid do so safely"
        return ground.offer(Edit("constant", f"drop {words}", price, NEAR, (code,)), problem, blocks)
    return None


def _guards(program: Program) -> Iterator[list[Node]]:
    """Guards of logarithms and their like: each alone, then all."""
    readers: dict[int, set[str]] = {}
    for node in program.nodes:
        for j in refs(node.args):
            readers.setdefault(j, set()).add(node.op)
    guarded = {"aten.log.default", "aten.log2.default", "aten.log10.default", "jensen.clamped_log"}
    found = [n for i, n in enumerate(program.nodes) if _constant(n) is not None and readers.get(i, set()) & guarded]
    yield from ([n] for n in found)
    if len(found) > 1:
        yield found


def _constant(node: Node) -> Any:
    """The small constant of a guard; None for other operations."""
    numbers = [a for a in node.args if isinstance(a, (int, float)) and not isinstance(a, bool) and a != 0]
    if node.op == "aten.add.Tensor" and len(numbers) == 1 and abs(numbers[0]) <= SMALL:
        return numbers[0]
    clamps = ("aten.clamp.default", "aten.clamp_min.default")
    if node.op in clamps and numbers and 0 < numbers[0] <= SMALL and all(1 - SMALL <= a <= 1 for a in numbers[1:]):
        return numbers[0]
    return None


def _without(program: Program, names: set[str]) -> Program:
    alias = {}
    for i, node in enumerate(program.nodes):
        if node.name in names:
            alias[i] = next(a.index for a in node.args if type(a) is Ref)
    return rewired(program, alias, {})
