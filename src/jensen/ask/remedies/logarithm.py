"""Take logarithms of positive blocks as the parameters: geometric programming's change of variables.

A sum of products of powers with positive coefficients is convex in the logarithms of its variables (Boyd, Kim,
Vandenberghe and Hassibi, "A tutorial on geometric programming", 2007).
"""

from __future__ import annotations

from collections.abc import Collection

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import function, is_function
from jensen.ask.remedies.ground import Ground, Names, Sets, count, maximal, proof
from jensen.ask.remedies.surgery import exponentials
from jensen.ask.remedies.words import frozen_price, listing, numbers, share, varying
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.finding import Finding
from jensen.kernel.check import Claim
from jensen.kernel.program import Problem

MANY = 32  # blocks
SIZE = 1.0


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """The remedy that changes variables, and why there is none."""
    if ground.within or len(ground.names) > MANY:
        return [], f"tried without a box, and for at most {MANY} blocks"
    logged = list(ground.names)
    problem = exponentials(ground.problem, logged)
    blocks = next((s for s in maximal(problem, {}) if not ground.known(_plain(s))), None)
    if blocks is None:
        return [], "in the logarithms of its blocks it is convex in no further set: it is no sum of products of powers"
    for name in sorted(ground.names, key=lambda n: -count(ground.problem, [n])):
        fewer = [n for n in logged if n != name]
        other = exponentials(ground.problem, fewer)
        wanted = tuple(_named(n, fewer) for n in _plain(blocks))
        if Sets(other, {}).proved(wanted):
            logged, blocks, problem = fewer, wanted, other
    finding = proof(problem, Claim("convex", blocks, {}), ("rules",)) if logged else None
    return ([] if finding is None else [_remedy(ground, problem, blocks, logged, finding)]), "the proof needs no logarithm"


def _named(name: str, logged: Collection[str]) -> str:
    return f"log {name}" if name in logged else name


def _plain(names: Names) -> Names:
    return tuple(n.removeprefix("log ") for n in names)


def _remedy(ground: Ground, problem: Problem, blocks: Names, logged: list[str], finding: Finding) -> Remedy:
    frozen = tuple(n for n in problem.blocks if n not in blocks)
    change = f"write {listing(logged)} as exponentials, with their logarithms as the parameters; {varying(blocks, problem)}"
    below = sum(int((ground.cost.theta[n] <= 0).sum()) for n in logged)
    price = (
        f"{numbers(count(ground.problem, logged))} can only be positive ({below:,} not so now), "
        f"and {frozen_price(problem, frozen)}"
    )
    size = SIZE + share(problem, frozen) + share(ground.problem, logged) / 2
    cost = None if below or not is_function(ground.cost) else _cost(ground.cost, logged)
    return Remedy("logarithm", change, price, size, blocks, _code(ground, logged), finding, frozen, {}, cost)


def _cost(cost: Cost, logged: list[str]) -> Cost | None:
    """The cost as a function of the logarithms."""
    values = {_named(n, logged): t.log() if n in logged else t for n, t in {**cost.fixed, **cost.theta}.items()}
    fn = cost._model.fn
    try:
        return function(
            cost, lambda **b: fn(**{n.removeprefix("log "): t.exp() if n.startswith("log ") else t for n, t in b.items()}),
            values,
        )  # fmt: skip
    except Misuse:
        return None


def _code(ground: Ground, logged: list[str]) -> str:
    if is_function(ground.cost):
        names = ", ".join(ground.names)
        inside = ", ".join(f"{n}.exp()" if n in logged else n for n in ground.names)
        values = ", ".join(f"{n}={n}.log()" if n in logged else f"{n}={n}" for n in ground.names)
        return f"# f is your function, and {names} its values\ncost = jensen.Cost.of(lambda {names}: f({inside}), {values})"
    names = ", ".join(f'"{n}"' for n in logged)
    return (
        "class Exp(torch.nn.Module):\n    def forward(self, v):\n        return v.exp()\n\n"
        "    def right_inverse(self, w):\n        return w.log()\n\n"
        f"for name in [{names}]:\n    home, _, last = name.rpartition(\".\")\n"
        "    torch.nn.utils.parametrize.register_parametrization(model.get_submodule(home), last, Exp())"
    )
