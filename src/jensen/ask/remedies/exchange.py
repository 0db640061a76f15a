"""Exchange activations, normalisations and pooling: for ReLU or the identity, evaluation mode or nothing, means for maxima.

The last operations of a network are exchanged first: what stands behind an operation decides whether a layer before it
is convex. Subsets are judged on the program; what is offered is built on the user's modules, traced and proved again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function, model_of, with_parts
from jensen.ask.remedies.ground import Ground, Names, count, maximal, news, proof
from jensen.ask.remedies.sites import Site, edited, find, rebuild
from jensen.ask.remedies.surgery import changed
from jensen.ask.remedies.words import frozen_price, keep, share, varying
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.check import Claim
from jensen.kernel.program import Problem

SINGLES = 8
MOST = 2


@dataclass(frozen=True)
class Plan:
    """Sites to exchange and what that gives, judged on the program."""

    sites: tuple[Site, ...]
    curve: str
    problem: Problem
    blocks: Names


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """Remedies that exchange operations, and why there is none."""
    sites = find(ground)
    if not sites:
        return [], "there is no activation, normalisation or pooling that could be exchanged"
    plans = _best(ground, sites)
    found: list[Remedy] = []
    for plan in plans:
        remedy = _offer(ground, plan)
        if remedy is not None:
            found.append(remedy)
        if len(found) == MOST:
            break
    return found, f"exchanging any of the {len(sites)} operations makes it convex in no further set of blocks"


def _best(ground: Ground, sites: list[Site]) -> list[Plan]:
    """Plans none of which is beaten by one with at most as many exchanges and at least as many parameters left."""
    kept: list[Plan] = []
    for chosen in _subsets(sites):
        if ground.late():
            break
        plan = _judge(ground, chosen)
        if plan is None:
            continue
        size = count(plan.problem, plan.blocks)
        rivals = [p for p in kept if len(p.sites) <= len(chosen)]
        if all(count(p.problem, p.blocks) < size for p in rivals):
            kept = [p for p in kept if len(p.sites) < len(chosen) or (p in rivals and len(p.sites) != len(chosen))]
            kept.append(plan)
    return kept


def _subsets(sites: list[Site]) -> Iterator[tuple[Site, ...]]:
    """Single sites from the output on, then ever longer ends of the network, then everything."""
    for site in sites[:SINGLES]:
        yield (site,)
    for k in range(2, len(sites) + 1):
        yield tuple(sites[:k])


def _judge(ground: Ground, sites: tuple[Site, ...]) -> Plan | None:
    """What the exchange gives: with ReLU in place of activations where that is enough, with the identity otherwise."""
    curved = any(s.what == "activation" and not s.rising for s in sites)
    for curve in ("relu", "identity") if curved else ("identity",):
        problem = changed(ground.problem, lambda program, c=curve: edited(program, sites, c))
        blocks = None if problem is None else news(ground, maximal(problem, ground.within))
        if problem is not None and blocks is not None:
            return Plan(sites, curve, problem, blocks)
    return None


def _offer(ground: Ground, plan: Plan) -> Remedy | None:
    """The exchange on the user's own modules, proved again; on the program where it is a call inside a forward."""
    if any(s.node for s in plan.sites) or is_function(ground.cost):
        return _on_program(ground, plan)
    gentle = (True, False) if any(s.batch for s in plan.sites) else (False,)
    for batch_eval in gentle:
        remedy = _on_modules(ground, plan, batch_eval)
        if remedy is not None:
            return remedy
    return None


def _on_modules(ground: Ground, plan: Plan, batch_eval: bool) -> Remedy | None:
    from jensen.trace import trace

    try:
        model = model_of(ground.cost)
        code = rebuild(model, plan.sites, plan.curve, batch_eval)
        cost = with_parts(ground.cost, model=model)
        problem = trace(cost).problem
    except (Misuse, AttributeError):
        return None
    blocks = news(ground, maximal(problem, ground.within))
    return None if blocks is None else _remedy(plan, problem, blocks, code, cost, ground, batch_eval)


def _on_program(ground: Ground, plan: Plan) -> Remedy | None:
    new = "torch.relu(x)" if plan.curve == "relu" else "x"
    code = [
        f"# in the forward of {s.path or 'the function'}: write {new} in place of {s.name}(x) ({s.node})"
        if s.node
        else f"# exchange {s.name} ({s.path})"
        for s in plan.sites
    ]
    return _remedy(plan, plan.problem, plan.blocks, code, None, ground, False)


def _remedy(
    plan: Plan, problem: Problem, blocks: Names, code: list[str], cost: Cost | None, ground: Ground, batch_eval: bool
) -> Remedy | None:
    within: Any = {n: b for n, b in ground.within.items() if n in problem.blocks}
    finding = proof(problem, Claim("convex", blocks, within))
    if finding is None:
        return None
    frozen = tuple(n for n in problem.blocks if n not in blocks)
    if frozen:
        code = [*code, keep(blocks, is_function(ground.cost))]
    words = "; ".join(_words(s, plan.curve, batch_eval) for s in plan.sites)
    return Remedy(
        "+".join(sorted({s.what for s in plan.sites})), f"{words}; {varying(blocks, problem)}",
        f"the network is another function ({len(plan.sites)} of its operations exchanged), "
        f"and {frozen_price(problem, frozen)}",
        len(plan.sites) + share(problem, frozen), blocks, "\n".join(code), finding, frozen,
        {}, cost,
    )  # fmt: skip


def _words(site: Site, curve: str, batch_eval: bool) -> str:
    if site.what == "pooling":
        return f"average pooling in place of {site.words()}"
    if site.what == "normalisation":
        return f"put {site.words()} in evaluation mode" if batch_eval and site.batch else f"drop {site.words()}"
    return f"{'ReLU' if curve == 'relu' else 'the identity'} in place of {site.words()}"
