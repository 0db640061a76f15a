"""From what was read to candidate factors of the group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from jensen.ask.symmetry.characters import Family, Weight, families, without
from jensen.ask.symmetry.flips import flip_factor
from jensen.ask.symmetry.flow import Flow
from jensen.ask.symmetry.group import Factor, Site
from jensen.ask.symmetry.isospectral import deformations
from jensen.ask.symmetry.reader import Reader
from jensen.ask.symmetry.rotary import Pairs, scalars
from jensen.ask.symmetry.streams import diagonal, general, is_sign_of, rotation
from jensen.ask.symmetry.units import Group, Structure, sites, structure


@dataclass(frozen=True)
class Candidates:
    """Factors to be tried, and what takes the place of matrices that fail."""

    factors: tuple[Factor, ...]
    instead: dict[int, tuple[Factor, ...]]  # by the identity of a factor


def candidates(r: Reader, flow: Flow, pairs: Pairs) -> Candidates:
    """Permutations, signs, scales and matrices; ``pairs`` are the rows that rotary positions turn together."""
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
        wide = None if turned is None else _wide(r, s, g, turned, scales, signs)
        if wide is not None:
            factors.append(wide[0])
            taken |= {id(w) for _, w in wide[1]}
            instead[id(wide[0])] = (plain, *_diagonal(r, wide[1]))
            held = {kind: [w for k, w in wide[1] if k == kind] for kind in ("scale", "sign")}
            scales, signs = ([without(f, held[f.kind]) for f in fs] for fs in (scales, signs))
            continue
        if turned is not None:
            turns.append(turned)
            instead[id(turned)] = (plain, *deformations(flow, turned))
            factors.append(turned)
            continue
        matrix = None if g.frozen else _matrix(r, s, g, scales, signs, found)
        if matrix is None:
            factors.append(plain)
            continue
        factor, weights = matrix
        factors.append(factor)
        taken |= {id(w) for _, w in weights}
        instead[id(factor)] = (plain, *_diagonal(r, weights))
    made = [_remaining(r, family, taken) for family in (*signs, *scales)]
    factors = _among_rotations(factors, [f for f in made if f is not None], turns, instead)
    factors = _with_scalars(flow, pairs, factors, instead)
    return Candidates(tuple(factors), instead)


def _among_rotations(
    factors: list[Factor], made: list[Factor], turns: list[Factor], instead: dict[int, tuple[Factor, ...]]
) -> list[Factor]:
    """Factors and signs and scales, without the signs that are rotations: these take their place where the rotations fail."""
    for f in made:
        whole = next(
            (t for t in turns if not t.centred and f.size == 1 and f.kind == "sign" and is_sign_of(f.sites, t)), None
        )
        if whole is None:
            factors.append(f)
        else:  # -1 is among the rotations
            instead[id(whole)] = (*instead[id(whole)], f)
    for t in turns:
        held = diagonal([f for f in factors if f.kind == "sign"], t)
        if held is not None:
            factors = [f for f in factors if f is not held]
            instead[id(t)] = (*instead[id(t)], held)
    return factors


def _remaining(r: Reader, family: Family, taken: set[int]) -> Factor | None:
    """What of a family no matrices hold; None where nothing is left, or where it cannot be told what its flips carry."""
    left = tuple(w for w in family.weights if id(w) not in taken)
    made = _family(r, Family(family.kind, left)) if left else None
    return flip_factor(r, made, [w.vector for w in left]) if made is not None and family.kind == "sign" else made


def _with_scalars(
    flow: Flow, pairs: Pairs, factors: list[Factor], instead: dict[int, tuple[Factor, ...]]
) -> list[Factor]:
    """Complex numbers (phases) in place of the scales and signs that they hold, to be tried."""
    if not pairs:
        return factors
    out = list(factors)
    for sign in [f for f in factors if f.kind == "sign"]:
        for scale in (*(f for f in factors if f.kind == "scale" and f.size == sign.size), None):
            found = scalars(flow, pairs, scale, sign)
            if found is None:
                continue
            old = [f for f in (sign, scale) if f is not None]
            instead[id(found)] = tuple(old)
            out[next(k for k, f in enumerate(out) if f is sign)] = found
            out = [f for f in out if f is not scale]
            break
    return out


def _family(r: Reader, family: Family) -> Factor:
    found = family.sites(r)
    return Factor(family.kind, len(family.weights), label(found), found)


def _diagonal(r: Reader, weights: Sequence[tuple[str, Weight]]) -> tuple[Factor, ...]:
    kinds: dict[str, list[Weight]] = defaultdict(list)
    for kind, w in weights:
        kinds[kind].append(w)
    return tuple(_family(r, Family(kind, tuple(own))) for kind, own in kinds.items())  # type: ignore[arg-type]


def _matrix(
    r: Reader, s: Structure, g: Group, scales: Sequence[Family], signs: Sequence[Family], found: tuple[Site, ...]
) -> tuple[Factor, list[tuple[str, Weight]]] | None:
    """GL(n) where every unit has a scale and a sign of its own that act alike, O(n) where it has a sign alone."""
    own = {kind: _own(g, fs, s) for kind, fs in (("scale", scales), ("sign", signs))}
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


def _wide(
    r: Reader, s: Structure, g: Group, turned: Factor, scales: Sequence[Family], signs: Sequence[Family]
) -> tuple[Factor, list[tuple[str, Weight]]] | None:
    """GL(n) of a stream that passes gains (of its writers) and no norm, and the scales and signs that it holds."""
    held: list[tuple[str, Weight]] = []
    found = None
    for kind, fs in (("scale", scales), ("sign", signs)):
        for f in fs:
            own = _own(g, [f], s)
            wide = None if own is None else general(turned, Family("scale", tuple(own)).sites(r))
            if own is not None and wide is not None:
                held += [(kind, w) for w in own]
                found = wide if kind == "scale" else found
                break
    return None if found is None or len(held) != 2 * len(g.units) else (found, held)


def _own(g: Group, fs: Sequence[Family], s: Structure) -> list[Weight] | None:
    """One weight for each unit of the group that touches it and no other unit but its children, all of one family."""
    below = [s.below[u] for u in g.units]
    if sum(len(b) for b in below) > len(set().union(*below)):
        return None
    owner = {u: k for k, own in enumerate(below) for u in own}
    units = set(g.units)
    for f in fs:
        by: dict[int, list[Weight]] = defaultdict(list)
        for w in f.weights:
            who = set() if w.units.isdisjoint(units) else {owner.get(u, -1) for u in w.units}
            if len(who) == 1:
                by[who.pop()].append(w)
        if all(len(by[k]) == 1 for k in range(len(g.units))):
            return [by[k][0] for k in range(len(g.units))]
    return None


def label(found: Sequence[Site]) -> str:
    """The blocks of a factor in words."""
    return ", ".join(dict.fromkeys(s.block for s in found))
