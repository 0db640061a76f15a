"""A tangent kept as a sum of diagonal maps of few tensors, so that chains of elementwise operations cost nothing.

A product with the Hessian runs the tangent map again and again. Written operation by operation it would multiply by one
derivative after another; as a form, sum over i of scale_i * base_i, the scales (which do not depend on the vector) are
multiplied once when the map is made, and equal bases are added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Scale = Tensor | float
LIMIT = 4  # terms; each is a pass over memory in every product


@dataclass
class Form:
    """sum of scale * base, broadcast to ``shape``; bases are linear in the vector, scales do not depend on it."""

    shape: tuple[int, ...]
    terms: list[tuple[Scale, Tensor]]

    def value(self) -> Tensor:
        """The tangent itself, of the form's shape; computed once."""
        scale, base = self.terms[0]
        if len(self.terms) > 1 or scale is not ONE or tuple(base.shape) != self.shape:
            self.terms = [(ONE, _sum(self.terms, self.shape))]
        return self.terms[0][1]

    def scaled(self, by: Scale, shape: Sequence[int]) -> Form:
        """Times a tensor or a number, elementwise."""
        return Form(tuple(shape), [(times(by, s), b) for s, b in self.terms])


ONE = 1.0
LOST = object()  # in place of the form of what moves nobody knows how


def of(base: Tensor) -> Form:
    """A tangent as it is."""
    return Form(tuple(base.shape), [(ONE, base)])


def times(a: Scale, b: Scale) -> Scale:
    """Their product; one is never multiplied."""
    if a is ONE or b is ONE:
        return b if a is ONE else a
    return a * b


def total(forms: Sequence[Form | None], shape: Sequence[int]) -> Form | None:
    """Their sum; terms on the same base are merged."""
    found: dict[int, int] = {}
    terms: list[tuple[Scale, Tensor]] = []
    for form in forms:
        for scale, base in form.terms if form is not None else ():
            k = found.setdefault(id(base), len(terms))
            if k == len(terms):
                terms.append((scale, base))
            else:
                terms[k] = (terms[k][0] + scale, base)
    if not terms:
        return None
    out = Form(tuple(shape), terms)
    if len(terms) > LIMIT:
        out.value()
    return out


def _sum(terms: list[tuple[Scale, Tensor]], shape: tuple[int, ...]) -> Tensor:
    """Largest first, so that what follows is added to it in one pass each."""
    terms = sorted(terms, key=lambda t: -_spread(t).numel())
    scale, out = terms[0]
    if scale is not ONE:
        out = out * scale
    for scale, base in terms[1:]:
        if isinstance(scale, Tensor):
            out = torch.addcmul(out, base, scale)
        else:
            out = torch.add(out, base, alpha=scale)
    return out if tuple(out.shape) == shape else out.expand(shape)


def _spread(term: tuple[Scale, Tensor]) -> Tensor:
    scale, base = term
    return torch.broadcast_tensors(base, scale)[0] if isinstance(scale, Tensor) else base
