"""Exchange activations, normalisations and pooling: for ReLU or the identity, evaluation mode or nothing, means for maxima.

The last operations of a network are exchanged first: what stands behind an operation decides whether a layer before it
is convex. Subsets are judged on the program; what is offered is built on the user's modules, traced and proved again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import model_of, with_parts
from jensen.ask.remedies.edit import Edit, Names, count
from jensen.ask.remedies.ground import Ground
from jensen.ask.remedies.sites import Site, edited, find, rebuild
from jensen.ask.remedies.surgery import changed
from jensen.errors import Misuse
from jensen.kernel.program import Problem
from jensen.trace import trace

SINGLES = 8
MOST = 2  # that are offered
SHARE = 0.5  # of the time for all kinds


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
    found = [r for plan in _best(ground.part(SHARE), sites) if (r := _offer(ground, plan)) is not None]
    return found, f"exchanging any of the {len(sites)} operations makes it convex in no further set of blocks"


def _best(ground: Ground, sites: list[Site]) -> list[Plan]:
    """Plans none of which is beaten by one with at most as many exchanges and at least as many parameters left."""
    kept: list[Plan] = []
    for chosen in _subsets(sites):
        if ground.late() or (len(kept) == MOST and len(chosen) > len(kept[-1].sites)):
            break
        plan = _judge(ground, chosen)
        if plan is None:
            continue
        size = count(plan.problem, plan.blocks)
        rivals = [p for p in kept if len(p.sites) <= len(chosen)]
        if all(count(p.problem, p.blocks) < size for p in rivals):
            kept = [*(p for p in kept if len(p.sites) < len(chosen)), plan]
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
        blocks = None if problem is None else ground.news(problem)
        if problem is not None and blocks is not None:
            return Plan(sites, curve, problem, blocks)
    return None


def _offer(ground: Ground, plan: Plan) -> Remedy | None:
    """The exchange on the user's own modules, proved again; on the program where it is a call inside a forward."""
    gentle = (True, False) if any(s.batch for s in plan.sites) else (False,)
    for batch_eval in () if ground.function else gentle:
        found = _on_modules(ground, plan, batch_eval)
        if found is not None:
            return found
    if any(s.node for s in plan.sites) or ground.function:
        return ground.offer(_edit(plan, _by_hand(ground, plan), False), plan.problem, plan.blocks)
    return None


def _on_modules(ground: Ground, plan: Plan, batch_eval: bool) -> Remedy | None:
    try:
        model = model_of(ground.cost)
        code = rebuild(model, plan.sites, plan.curve, batch_eval)
        cost = with_parts(ground.cost, model=model)
        problem = trace(cost).problem
    except (Misuse, AttributeError):
        return None
    blocks = ground.news(problem)
    return None if blocks is None else ground.offer(_edit(plan, code, batch_eval), problem, blocks, cost=cost)


def _by_hand(ground: Ground, plan: Plan) -> list[str]:
    """The exchange where no assignment reaches some calls: comments for these."""
    new = "torch.relu(x)" if plan.curve == "relu" else "x"
    calls = [s for s in plan.sites if s.node]
    modules = tuple(s for s in plan.sites if not s.node)
    code = rebuild(model_of(ground.cost), modules, plan.curve, False) if modules else []
    return [
        f"# in {'the forward of ' + s.path if s.path else 'the function'}: write {new} in place of {s.name}(x)"
        for s in calls
    ] + code


def _edit(plan: Plan, code: list[str], batch_eval: bool) -> Edit:
    n = len(plan.sites)
    return Edit(
        "+".join(sorted({s.what for s in plan.sites})),
        "; ".join(_words(s, plan.curve, batch_eval) for s in plan.sites),
        f"the network is another function ({n} of its operations exchanged)",
        float(n),
        tuple(code),
    )


def _words(site: Site, curve: str, batch_eval: bool) -> str:
    if site.what == "pooling":
        return f"average pooling in place of {site.words()}"
    if site.what == "normalisation":
        return f"put {site.words()} in evaluation mode" if batch_eval and site.batch else f"drop {site.words()}"
    return f"{'ReLU' if curve == 'relu' else 'the identity'} in place of {site.words()}"
