"""A closer reading, where the plain one shows too little: what a group of operations does that none of them does alone.

- A group of elementwise operations over one value is a function of one variable (groups.py, cone.py, scalar.py).
- t h, where h depends on quotients x / t, is a perspective (perspective.py).
- A scalar may be a quadratic (degrees.py), or a weighted sum of sorted values (order.py).
- (f - g)^2 = f^2 + g^2 - 2 f g; f / (f + g) = 1 - g / (f + g); f g / (f + g) = f - f^2 / (f + g).

Each gives one node a second fact, and both hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from jensen.kernel import compose
from jensen.kernel.claims import scalar
from jensen.kernel.claims.degrees import quadratics
from jensen.kernel.claims.groups import cones
from jensen.kernel.claims.order import weighted
from jensen.kernel.claims.perspective import perspective
from jensen.kernel.facts import CONCAVE, CONSTANT, CONVEX, UNDEFINED, Fact
from jensen.kernel.program import Linked, Node, Ref
from jensen.kernel.readings import Leaf, read_facts

WORK = 20_000
POW, MUL, DIV = "aten.pow.Tensor_Scalar", "aten.mul.Tensor", "aten.div.Tensor"
ADD, SUB = "aten.add.Tensor", "aten.sub.Tensor"

Rule = Callable[[list[Fact]], "Fact | None"]


def read(linked: Linked, leaf: Leaf, atoms: Any, out: list[Fact]) -> list[Fact]:
    """The facts again, given those of the plain reading."""
    rules = _rules(linked, leaf, atoms, out)
    if not rules:
        return out
    new, inputs = list(linked.atoms), list(linked.inputs)
    for i, found in rules.items():
        new[i] = replace(linked.atoms[i], facts=_closer(linked, i, [rule for rule, _ in found]))
        for _, root in found:
            if root is not None:
                inputs[i] = (root,)  # a branch that is not taken may be undefined
    return read_facts(replace(linked, atoms=tuple(new), inputs=tuple(inputs)), leaf)


def _closer(linked: Linked, i: int, rules: list[Rule]) -> Any:
    def facts(args: Any, out: list[Fact], shapes: Any, k: int) -> Fact:
        undefined = any(out[j] is UNDEFINED for j in linked.inputs[i])
        f = UNDEFINED if undefined else linked.atoms[i].facts(args, out, shapes, k)
        for rule in rules:
            f = compose.both(f, rule(out) or f)
        return f

    return facts


def _rules(linked: Linked, leaf: Leaf, atoms: Any, out: list[Fact]) -> dict[int, list[tuple[Rule, int | None]]]:
    """Nodes of which a group may show more, and for a function of one variable its root."""
    found: dict[int, list[tuple[Rule, int | None]]] = {}
    for i, rule, root in _found(linked, leaf, atoms, out):
        found.setdefault(i, []).append((rule, root))
    return found


def _found(linked: Linked, leaf: Leaf, atoms: Any, out: list[Fact]) -> Iterator[tuple[int, Rule, int | None]]:
    varying, work = [not f.bits & CONSTANT for f in out], [WORK]
    for i, cone in cones(linked, atoms, out, varying, work):
        yield i, (lambda facts, c=cone: scalar.image(c, facts[c.root])), cone.root
    for i, node in enumerate(linked.nodes):
        if not varying[i] or out[i] is UNDEFINED or out[i].bits & (CONVEX | CONCAVE):
            continue
        rules = [_identity(linked, atoms, node), weighted(linked, leaf, i)]
        if node.op == MUL:
            rules += [perspective(linked, out, varying, t, h, atoms) for t, h in (node.args, node.args[::-1])]
        yield from ((i, rule, None) for rule in rules if rule is not None)
    for i, f in quadratics(linked, leaf, atoms, out):
        yield i, (lambda facts, f=f: f), None


def _identity(linked: Linked, atoms: Any, node: Node) -> Rule | None:
    """The same value written otherwise."""

    def of(op: str, *args: Any) -> Fact:
        facts = [a for a in args if isinstance(a, Fact)]
        if any(f is UNDEFINED for f in facts):
            return UNDEFINED
        places = iter(range(len(facts)))
        refs = tuple(Ref(next(places)) if isinstance(a, Fact) else a for a in args)
        return atoms.get(op).facts(refs, facts, [()] * len(facts), 0)

    def inner(a: Any, op: str) -> tuple[Any, ...]:
        found = linked.nodes[a.index] if type(a) is Ref else None
        return found.args if found is not None and found.op == op and all(type(b) is Ref for b in found.args) else ()

    if node.op == POW and node.args[1] == 2 and inner(node.args[0], SUB):
        f, g = (a.index for a in inner(node.args[0], SUB))
        return lambda out: of(
            SUB, of(ADD, of(POW, out[f], 2.0), of(POW, out[g], 2.0)), of(MUL, of(MUL, out[f], out[g]), 2.0)
        )
    if node.op != DIV or not inner(node.args[1], ADD):
        return None
    top, bottom = node.args
    parts, below = inner(bottom, ADD), bottom.index
    if top in parts:
        other = parts[1 - parts.index(top)].index
        return lambda out: of(SUB, 1.0, of(DIV, out[other], out[below]))
    if inner(top, MUL) in (parts, parts[::-1]):
        f = parts[0].index
        return lambda out: of(SUB, out[f], of(DIV, of(POW, out[f], 2.0), out[below]))
    return None
