"""A numerical constant stands in the way: softplus's threshold, the clamp of a logarithm, an epsilon beneath it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from jensen.ask import refute
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function, model_of, with_parts
from jensen.ask.remedies.ground import Ground, Names, maximal, news, proof
from jensen.ask.remedies.losses import NEAR
from jensen.ask.remedies.surgery import changed, rewired
from jensen.ask.remedies.words import frozen_price, keep, place, share, varying
from jensen.errors import Misuse
from jensen.kernel.check import Claim
from jensen.kernel.program import Node, Problem, Program, Ref, refs

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


def _remedy(
    ground: Ground, problem: Problem, blocks: Names, change: str, price: str, code: str, options: Mapping[str, Any],
    cost: Any = None,
) -> Remedy | None:  # fmt: skip
    within = {n: b for n, b in ground.within.items() if n in problem.blocks}
    finding = proof(problem, Claim("convex", blocks, within, bool(options)), ("rules",))
    if finding is None:
        return None
    frozen = tuple(n for n in problem.blocks if n not in blocks)
    code = "\n".join([*([code] if code else []), *([keep(blocks, is_function(ground.cost))] if frozen else [])])
    return Remedy(
        "constant", f"{change}; {varying(blocks, problem)}", f"{price}, and {frozen_price(problem, frozen)}",
        NEAR + share(problem, frozen), blocks, code, finding, frozen, dict(options), cost,
    )  # fmt: skip


def _ideal(ground: Ground) -> Remedy | None:
    """Ask about the function that the constant approximates."""
    blocks = news(ground, maximal(ground.problem, ground.within, ideal=True))
    if blocks is None:
        return None
    words = refute.constants(ground.problem)
    price = "the question is about the ideal function; torch computes another one, by that constant"
    change = f"read {words} as what it stands for"
    code = "# no edit: jensen.check(cost, ideal=True)"
    return _remedy(ground, ground.problem, blocks, change, price, code, {"ideal": True})


def _softplus(ground: Ground) -> Remedy | None:
    """Write softplus modules without a threshold."""
    from jensen.trace import trace

    if is_function(ground.cost):
        return None
    model = model_of(ground.cost)
    places = [(path, m) for path, m in model.named_modules() if path and isinstance(m, nn.Softplus)]
    code = CLASS
    for path, module in places:
        model.set_submodule(path, Softplus(float(module.beta)))
        code += f"{place(model, path)} = Softplus({module.beta!r})\n"
    try:
        cost = with_parts(ground.cost, model=model) if places else None
        problem = None if cost is None else trace(cost).problem
    except Misuse:
        return None
    blocks = None if problem is None else news(ground, maximal(problem, ground.within))
    if problem is None or blocks is None:
        return None
    names = ", ".join(path for path, _ in places)
    change = f"write Softplus ({names}) as -logsigmoid(-x), which has no threshold"
    price = f"the same function, but for {refute.constants(ground.problem)}"
    return _remedy(ground, problem, blocks, change, price, code.rstrip(), {}, cost)


def _bare(ground: Ground) -> Remedy | None:
    """Drop an epsilon that is added to, or a clamp of, the argument of a logarithm, a root or a division."""
    for guards in _guards(ground.problem.terms[0].program):
        names = {n.name for n in guards}
        problem = changed(ground.problem, lambda program, names=names: _without(program, names))
        blocks = None if problem is None else news(ground, maximal(problem, ground.within))
        if problem is None or blocks is None:
            continue
        words = " and ".join(f"{n.op.split('.')[1]} with {_constant(n):g} ({n.name})" for n in guards)
        price = "another function where that constant is felt; with large numbers it may round to infinity"
        code = f"# write the argument without {words}; log_softmax and logsigmoid do so safely"
        return _remedy(ground, problem, blocks, f"drop {words}", price, code, {})
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
