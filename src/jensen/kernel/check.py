"""The one door: a claim about a problem is accepted here, or it is not accepted at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jensen.errors import Misuse
from jensen.kernel.claims import box, chord, invariance, quadratic, rational, rules
from jensen.kernel.claims.claim import KINDS, Box, Claim, validate
from jensen.kernel.errors import Rejected
from jensen.kernel.program import Problem

__all__ = ["KINDS", "METHODS", "Box", "Claim", "check"]

METHODS = {"rules": rules.check, "quadratic": quadratic.check, "rational": rational.check, "box": box.check}
METHODS |= {"moves": invariance.check}


def check(problem: Problem, claim: Claim, evidence: Any, atoms: Any) -> Claim:
    """Accept the claim, with its statement, or raise Rejected.

    Args:
        problem: Programs, tensors and weights: the cost.
        claim: What is claimed of it.
        evidence: For a proof, ``{"method": "rules"}`` or another of METHODS with what that needs; for a refutation a
            :class:`~jensen.kernel.claims.chord.Chord`.
        atoms: The registry of atoms.
    """
    try:
        return _check(problem, claim, evidence, atoms)
    except (Rejected, Misuse):  # a live cost's data may have changed while it was read
        raise
    except Exception as e:  # a hostile program may fail anywhere: in numpy, in flint, for want of memory
        raise Rejected("kernel", "a check that comes to its end", f"it fails with {type(e).__name__}: {e}") from e


def _check(problem: Problem, claim: Claim, evidence: Any, atoms: Any) -> Claim:
    validate(problem, claim)
    if claim.ideal:
        atoms = atoms.ideal()
    negative = claim.kind.startswith("not ")
    if negative != isinstance(evidence, chord.Chord):
        raise Rejected("evidence", "evidence fits the claim", f"this is not evidence for the claim {claim.kind!r}")
    if negative:
        words = chord.check(problem, claim, evidence, atoms)
    else:
        method = METHODS.get(str(evidence.get("method"))) if isinstance(evidence, Mapping) else None
        if method is None or (claim.kind == "invariant" and method is not invariance.check):
            raise Rejected("evidence", "a known method of proof", f"the evidence names none of {sorted(METHODS)}")
        words = method(problem, claim, evidence, atoms)
    return Claim(claim.kind, claim.blocks, claim.within, claim.ideal, words, claim.factors)
