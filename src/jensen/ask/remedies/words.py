"""Sentences, prices, and the code of edits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from jensen.ask.remedies.ground import Names, count
from jensen.kernel.claims.words import listing
from jensen.kernel.program import Problem

__all__ = ["frozen_price", "keep", "listing", "numbers", "place", "share", "varying"]


def share(problem: Problem, names: Iterable[str]) -> float:
    """The part of the parameters that some blocks hold."""
    total = count(problem, problem.blocks)
    return count(problem, names) / total if total else 0.0


def frozen_price(problem: Problem, frozen: Names, anything: bool = True) -> str:
    """How much is frozen, in words."""
    if not frozen:
        return "no parameter is frozen"
    n = count(problem, frozen)
    part = f"{n:,} of {numbers(count(problem, problem.blocks))} ({share(problem, frozen):.1%})"
    return f"{part} {'is' if n == 1 else 'are'} frozen, {'at any value' if anything else 'as they are now'}"


def numbers(n: int) -> str:
    """A number of parameters, in words."""
    return "1 parameter" if n == 1 else f"{n:,} parameters"


def varying(names: Names, problem: Problem, anything: bool = True) -> str:
    """Which blocks vary and which are frozen."""
    frozen = [n for n in problem.blocks if n not in names]
    if not frozen:
        return "train all blocks"
    return f"train {listing(names)}, and freeze {listing(frozen)} {'at any value' if anything else 'as they are now'}"


def keep(blocks: Sequence[str], function: bool) -> str:
    """Code that freezes every other block."""
    names = ", ".join(f'"{n}"' for n in blocks)
    if function:
        return f"cost = cost.restrict([{names}])"
    braces = "{" + names + "}"
    return f"for name, parameter in model.named_parameters():\n    parameter.requires_grad_(name in {braces})"


def place(model: nn.Module, path: str) -> str:
    """The code that names a submodule: ``model[3]``, ``model.body[0].act``."""
    text, here = "model", model
    for part in path.split(".") if path else []:
        container = isinstance(here, (nn.Sequential, nn.ModuleList)) and part.isdigit()
        dictionary = isinstance(here, nn.ModuleDict)
        if container:
            text += f"[{part}]"
        elif dictionary:
            text += f'["{part}"]'
        else:
            text += f".{part}"
        here = here.get_submodule(part)
    return text
