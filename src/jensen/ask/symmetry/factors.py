"""From what was read to candidate factors of the group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from jensen.ask.symmetry.characters import Family, Weight, families
from jensen.ask.symmetry.flips import flip_factor
from jensen.ask.symmetry.flow import Flow
from jensen.ask.symmetry.group import Factor, Site
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.streams import is_sign_of, rotation
from jensen.ask.symmetry.units import Group, sites, structure


@dataclass(frozen=True)
class Candidates:
    """Factors to be tried, and what takes the place of matrices that fail."""

    factors: tuple[Factor, ...]
    instead: dict[int, tuple[Factor, ...]]  # by the identity of a factor


def candidates(r: Reader, flow: Flow) -> Candidates:
    """Permutations, signs, scales and matrices."""
    s = structure(r)
    scales, signs = families(r, "scale"), families(r, "sign")
    factors: list[Factor] = []
    instead: dict[int, tuple[Factor, ...]] = {}
    taken: set[int] = set()
    turns: list[Factor] = []
    for g in s.groups:
        found = sites(r, s, g.units)
        if not found:
            continue
        plain = Factor("permutation", len(g.units), label(found), found, power=f"cell {g.cell}")
        turned = rotation(flow, plain, g.frozen) if g.frozen else None
        if turned is not None:
            turns.append(turned)
            instead[id(turned)] = (plain,)
            factors.append(turned)
            continue
        matrix = None if g.frozen else _matrix(r, g, scales, signs, found)
        if matrix is None:
            factors.append(plain)
            continue
        factor, weights = matrix
        factors.append(factor)
        taken |= {id(w) for _, w in weights}
        instead[id(factor)] = (plain, *_diagonal(r, weights))
    for family in (*signs, *scales):
        left = tuple(w for w in family.weights if id(w) not in taken)
        made = _family(r, Family(family.kind, left)) if left else None
        if made is not None and family.kind == "sign":
            made = flip_factor(r, made, [w.vector for w in left])
        if made is None:
            continue
        whole = next(
            (
                t
                for t in turns
                if not t.centred and made.size == 1 and made.kind == "sign" and is_sign_of(made.sites, t)
            ),
            None,
        )
        if whole is None:
            factors.append(made)
        else:  # -1 is among the rotations
            instead[id(whole)] = (*instead[id(whole)], made)
    return Candidates(tuple(factors), instead)


def _family(r: Reader, family: Family) -> Factor:
    found = family.sites(r)
    return Factor(family.kind, len(family.weights), label(found), found)


def _diagonal(r: Reader, weights: Sequence[tuple[str, Weight]]) -> tuple[Factor, ...]:
    kinds: dict[str, list[Weight]] = defaultdict(list)
    for kind, w in weights:
        kinds[kind].append(w)
    return tuple(_family(r, Family(kind, tuple(own))) for kind, own in kinds.items())  # type: ignore[arg-type]


def _matrix(
    r: Reader, g: Group, scales: Sequence[Family], signs: Sequence[Family], found: tuple[Site, ...]
) -> tuple[Factor, list[tuple[str, Weight]]] | None:
    """GL(n) where every unit has a scale and a sign of its own that act alike, O(n) where it has a sign alone."""
    own = {kind: _own(g, fs) for kind, fs in (("scale", scales), ("sign", signs))}
    if own["sign"] is None:
        return None
    weights = own["scale"] or own["sign"]
    kind = "linear" if own["scale"] else "orthogonal"
    degrees = {d for w in weights for places in w.action.values() for d in places}
    if not degrees <= {1, -1}:
        return None
    family = Family("scale", tuple(weights))
    factor = Factor(kind, len(g.units), label(found), family.sites(r), power=f"cell {g.cell}")
    return factor, [(k, w) for k, ws in own.items() for w in ws or ()]


def _own(g: Group, fs: Sequence[Family]) -> list[Weight] | None:
    """One weight for each unit of the group that touches no other unit, all of one family."""
    for f in fs:
        by = {next(iter(w.units)): w for w in f.weights if len(w.units) == 1}
        if all(u in by for u in g.units):
            return [by[u] for u in g.units]
    return None


def label(found: Sequence[Site]) -> str:
    """The blocks of a factor in words."""
    return ", ".join(dict.fromkeys(s.block for s in found))
