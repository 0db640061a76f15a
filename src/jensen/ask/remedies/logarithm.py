"""Take logarithms of positive blocks as the parameters: geometric programming's change of variables.

A sum of products of powers with positive coefficients is convex in the logarithms of its variables (Boyd, Kim,
Vandenberghe and Hassibi, "A tutorial on geometric programming", 2007).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor

from jensen.ask.blocks import Lattice
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import function
from jensen.ask.remedies.edit import Edit, Names, count, numbers, quoted, share
from jensen.ask.remedies.ground import Ground, maximal
from jensen.ask.remedies.surgery import exponentials
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.claims.words import listing
from jensen.kernel.program import Problem
from jensen.trace import trace

MANY = 32  # blocks
SIZE = 1.0
LEAST = 1e-6  # where a value starts that is not positive


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
        if Lattice(other, {}).proved(wanted):
            logged, blocks, problem = fewer, wanted, other
    found = _remedy(ground, problem, blocks, logged) if logged else None
    return ([] if found is None else [found]), "the proof needs no logarithm"


def _named(name: str, logged: Collection[str]) -> str:
    return f"log {name}" if name in logged else name


def _plain(names: Names) -> Names:
    return tuple(n.removeprefix("log ") for n in names)


def _remedy(ground: Ground, problem: Problem, blocks: Names, logged: list[str]) -> Remedy | None:
    below = sum(int((ground.cost.theta[n] < LEAST).sum()) for n in logged)
    now = f"{below:,} not so now: absolute values, {LEAST:g} at least, take their place" if below else "as they are now"
    edit = Edit(
        "logarithm",
        f"write {listing(logged)} as {'exponentials' if len(logged) > 1 else 'an exponential'}, "
        f"with the logarithm as the parameter",
        f"{numbers(count(ground.problem, logged))} can only be positive ({now})",
        SIZE + share(ground.problem, logged) / 2,
        () if ground.function else _parametrized(logged),
        _rewritten(ground.names, logged) if ground.function else (),
    )
    cost = _cost(ground.cost, logged) if ground.function else None
    problem = problem if cost is None else trace(cost).problem
    return ground.offer(edit, problem, blocks, cost=cost, methods=("rules",))


def start(value: Tensor) -> Tensor:
    """The logarithm of a block's values, of their absolute values where they are not positive."""
    return value.abs().clamp(min=LEAST).log()


def _cost(cost: Cost, logged: list[str]) -> Cost | None:
    """The cost as a function of the logarithms."""
    values = {_named(n, logged): start(t) if n in logged else t for n, t in {**cost.fixed, **cost.theta}.items()}
    part: Any = cost._model
    fn = part.fn
    try:
        return function(
            cost, lambda **b: fn(**{n.removeprefix("log "): t.exp() if n.startswith("log ") else t for n, t in b.items()}),
            values,
        )  # fmt: skip
    except Misuse:
        return None


def _rewritten(blocks: Names, logged: list[str]) -> Names:
    """The function of the logarithms, for costs made with ``Cost.of``."""
    names = ", ".join(blocks)
    inside = ", ".join(f"{n}.exp()" if n in logged else n for n in blocks)
    values = ", ".join(f"{n}={n}.abs().clamp(min={LEAST:g}).log()" if n in logged else f"{n}={n}" for n in blocks)
    comment = f"# f is your function, and {names} its values"
    return comment, f"cost = jensen.Cost.of(lambda {names}: f({inside}), {values})"


def _parametrized(logged: list[str]) -> Names:
    """The parametrisation of a model's parameters; it starts as ``start`` does."""
    return (EXP, f"for name in [{quoted(logged)}]:\n{REGISTER}")


EXP = f"""class Exp(torch.nn.Module):
    def forward(self, v):
        return v.exp()

    def right_inverse(self, w):
        return w.abs().clamp(min={LEAST:g}).log()
"""
REGISTER = """    home, _, last = name.rpartition(".")
    torch.nn.utils.parametrize.register_parametrization(model.get_submodule(home), last, Exp())"""
