"""Which factors the kernel itself sees to leave the cost as it is, and the certificate of those."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from jensen.ask.symmetry.absorbed import Absorbed
from jensen.ask.symmetry.frame import Frame
from jensen.ask.symmetry.group import JOIN, Coordinates, Factor
from jensen.atoms import registry
from jensen.certificate import Certificate
from jensen.kernel.check import Claim, check
from jensen.kernel.claims import factor as stated
from jensen.kernel.claims.invariance import keeps
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem

LARGEST = 64  # denominators of powers


def gaps(problem: Problem, factors: Sequence[Factor], frames: Sequence[Coordinates]) -> tuple[str, ...]:
    """For each factor why the kernel does not see that it leaves the cost as it is; empty where it does."""
    return tuple(_gap(problem, f, frames) for f in factors)


def _gap(problem: Problem, f: Factor, frames: Sequence[Coordinates]) -> str:
    why = _unstated(f)
    if not why and any(isinstance(c, Absorbed) and {c.weight, *c.blocks} & set(f.blocks) for c in frames):
        why = "the kernel has no rules for coordinates in which a weight has a correction in it"
    if why:
        return why
    try:
        keeps(problem, statement(f, frames), registry())
    except Rejected as e:
        return str(e)
    except Exception as e:  # as at the kernel's door: what fails is not proved
        return f"the check fails with {type(e).__name__}: {e}"
    return ""


def _unstated(f: Factor) -> str:
    """Why a factor is none that the kernel knows; empty where it is."""
    if f.kind not in stated.DONE:
        return f"the kernel has no rules for factors of kind {f.kind} yet"
    if f.carries or any(s.gain is not None for s in f.sites):
        return "the kernel has no rules for what this factor carries to other blocks"
    if any(JOIN in s.block for s in f.sites):
        return "the kernel has no rules for exchanges across blocks"
    if f.centred:
        return "the kernel has no rules for matrices that leave a mean alone"
    return ""


def statement(f: Factor, frames: Sequence[Coordinates]) -> stated.Factor:
    """The factor as the kernel's claim says it."""
    return stated.Factor(
        f.kind,
        f.size,
        tuple(
            stated.Site(
                s.block,
                tuple(s.axes),
                np.ascontiguousarray(s.positions, dtype=np.int64),
                Fraction(s.degree).limit_denominator(LARGEST),
            )
            for s in f.sites
        ),
        tuple((c.weight, c.bias) for c in frames if isinstance(c, Frame) and {c.weight, c.bias} & set(f.blocks)),
    )


def certificate(problem: Problem, factors: Sequence[Factor], frames: Sequence[Coordinates]) -> Certificate:
    """The kernel's answer about these factors together, with its statement.

    Raises:
        Rejected: Where it does not accept.
    """
    moves = tuple(statement(f, frames) for f in factors)
    blocks = tuple(b for b in problem.blocks if any(b in f.blocks for f in moves))
    evidence = {"method": "moves"}
    claim = check(problem, Claim("invariant", blocks, {}, factors=moves), evidence, registry())
    return Certificate(problem, claim, evidence)
