"""Edits in words and code, their prices, and the remedies that are made of them once the kernel has accepted a proof."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from torch import nn

from jensen.ask.remedies.answer import Remedy
from jensen.finding import Finding
from jensen.kernel.check import Box
from jensen.kernel.claims.words import listing
from jensen.kernel.program import Problem

Names = tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        kind: What sort of change.
        words: The change in words; what is frozen is said later.
        price: What is lost, besides what is frozen.
        size: How much changes, besides what is frozen.
        before: Lines of code that stand before the line that makes the cost.
        after: Lines that stand after it.
        values: At which values the frozen blocks may stay.
    """

    kind: str = ""
    words: str = ""
    price: str = ""
    size: float = 0.0
    before: Names = ()
    after: Names = ()
    values: str = "any value"

    def then(self, other: Edit) -> Edit:
        """This change and another after it."""
        return Edit(
            "+".join(filter(None, (self.kind, other.kind))),
            "; ".join(filter(None, (self.words, other.words))),
            "; ".join(filter(None, (self.price, other.price))),
            self.size + other.size,
            self.before + other.before,
            self.after + other.after,
            other.values,
        )


def remedy(
    edit: Edit,
    problem: Problem,
    finding: Finding,
    *,
    function: bool,
    cost: Any = None,
    here: bool = False,
    asks: bool = False,
) -> Remedy:
    """What an accepted finding about the changed problem makes of an edit.

    Args:
        edit: All that was changed.
        problem: The changed programs.
        finding: The proof.
        function: Whether the cost was made with ``Cost.of``.
        cost: The changed cost, if there is one.
        here: Whether the frozen blocks are fixed at their current values, and are no blocks of the finding any more.
        asks: Whether the frozen blocks stay blocks, and ``check`` is told which vary.
    """
    blocks = tuple(finding.blocks)
    frozen = tuple(n for n in problem.blocks if n not in blocks)
    before, after = list(edit.before), list(edit.after)
    if frozen and not asks:
        if here or function:
            after.append(restricted(blocks))
        else:
            before.append(thawed(blocks))
    words = "; ".join(filter(None, (edit.words, varying(blocks, frozen, edit.values))))
    price = ", and ".join(filter(None, (edit.price, frozen_price(problem, frozen, edit.values))))
    return Remedy(
        edit.kind, words, price, edit.size + share(problem, frozen), blocks, "\n".join([*before, *after]), finding,
        frozen, _options(finding, bool(frozen) and asks), cost,
    )  # fmt: skip


def _options(finding: Finding, asks: bool) -> dict[str, Any]:
    """What ``check`` needs once the edit is made."""
    claim = finding.certificate.claim
    within = boxes({n: b for n, b in claim.within.items() if asks or n in claim.blocks})
    options: dict[str, Any] = {"of": list(claim.blocks)} if asks else {}
    return options | ({"within": within} if within else {}) | ({"ideal": True} if claim.ideal else {})


def count(problem: Problem, names: Iterable[str]) -> int:
    """How many numbers the blocks hold."""
    return sum(prod(problem.blocks[n]) for n in names)


def share(problem: Problem, names: Iterable[str]) -> float:
    """The part of the parameters that some blocks hold."""
    total = count(problem, problem.blocks)
    return count(problem, names) / total if total else 0.0


def numbers(n: int) -> str:
    """A number of parameters, in words."""
    return "1 parameter" if n == 1 else f"{n:,} parameters"


def frozen_price(problem: Problem, frozen: Names, values: str) -> str:
    """How much is frozen, in words."""
    if not frozen:
        return "no parameter is frozen"
    n = count(problem, frozen)
    part = f"{n:,} of {numbers(count(problem, problem.blocks))} ({share(problem, frozen):.1%})"
    return f"{part} {'is' if n == 1 else 'are'} frozen, at {values}"


def varying(blocks: Names, frozen: Names, values: str) -> str:
    """Which blocks vary and which are frozen."""
    if not frozen:
        return "train all blocks"
    return f"train {listing(blocks)}, and freeze {listing(frozen)} at {values}"


def quoted(names: Sequence[str]) -> str:
    """Names as Python text, with commas."""
    return ", ".join(f'"{n}"' for n in names)


def thawed(blocks: Sequence[str]) -> str:
    """Code that freezes every other parameter of the model."""
    names = quoted([parameter(n) for n in blocks])
    return f"for name, parameter in model.named_parameters():\n    parameter.requires_grad_(name in {{{names}}})"


def parameter(block: str) -> str:
    """The parameter behind a block; behind a logarithm it is the one that torch's parametrisation keeps."""
    if not block.startswith("log "):
        return block
    home, dot, last = block.removeprefix("log ").rpartition(".")
    return f"{home}{dot}parametrizations.{last}.original"


def restricted(blocks: Sequence[str]) -> str:
    """Code that fixes every other block where it is."""
    return f"cost = cost.restrict([{quoted(blocks)}])"


def boxes(within: Box) -> dict[str, list[Any]]:
    """Bounds as numbers where they are the same everywhere, as ``check`` takes them."""
    return {n: [_one(b) for b in bounds] for n, bounds in within.items()}


def _one(bound: np.ndarray) -> Any:
    return float(bound.flat[0]) if bound.size and (bound == bound.flat[0]).all() else bound


def place(model: nn.Module, path: str) -> str:
    """The code that names a submodule: ``model[3]``, ``model.body[0].act``."""
    text, here = "model", model
    for part in path.split(".") if path else []:
        if isinstance(here, (nn.Sequential, nn.ModuleList)) and part.isdigit():
            text += f"[{part}]"
        elif isinstance(here, nn.ModuleDict):
            text += f'["{part}"]'
        else:
            text += f".{part}"
        here = here.get_submodule(part)
    return text
