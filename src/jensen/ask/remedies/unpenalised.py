"""Drop the penalty, where it is the penalty that bends J downwards (an L_p penalty with p < 1, say)."""

from __future__ import annotations

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import arguments, with_parts
from jensen.ask.remedies.edit import Edit
from jensen.ask.remedies.ground import Ground
from jensen.errors import Misuse
from jensen.trace import trace

SIZE = 1.0


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """The remedy that drops the penalty, and why there is none."""
    if ground.cost._penalty is None:
        return [], "the cost has no penalty"
    try:
        cost = with_parts(ground.cost, penalty=None)
        problem = trace(cost).problem
    except Misuse as e:
        return [], f"without its penalty it is no cost: {e}"
    blocks = ground.news(problem)
    edit = Edit(
        "penalty",
        "drop the penalty",
        "nothing restrains the parameters; a convex penalty (the sum of squares, or of absolute values) may take its place",
        SIZE,
        (),
        (f"cost = jensen.Cost(model, loss, data{arguments(ground.cost)})",),
    )
    found = None if blocks is None else ground.offer(edit, problem, blocks, cost=cost)
    return [] if found is None else [found], "without the penalty it is convex in no further set of blocks"
