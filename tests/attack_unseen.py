# ruff: noqa: T201
"""Checks the truths of the unseen zoo by sampling, without jensen's prover: python tests/attack_unseen.py [name]."""

from __future__ import annotations

import sys

import torch

import unseen_models as unseen

ARITH = {"convex": 1, "concave": -1, "quasiconvex": 1, "quasiconcave": -1, "log-convex": 1, "log-concave": -1}


def gap(kind, a, m, b):
    """How much a chord violates the claim; log claims of values that are not positive count as violated."""
    if kind == "affine":
        return (m - (a + b) / 2).abs()
    s = ARITH[kind]
    if kind.startswith("quasi"):
        return m - torch.maximum(a, b) if s > 0 else torch.minimum(a, b) - m
    if kind.startswith("log"):
        a, m, b = a.log(), m.log(), b.log()
    return s * (m - (a + b) / 2)


def sample(t, box, g, big):
    lo, hi = (
        torch.as_tensor(
            -torch.inf if v is None and k == 0 else torch.inf if v is None else v, dtype=torch.float64
        ).expand(t.shape)
        for k, v in enumerate(box)
    )
    u = torch.rand(t.shape, generator=g, dtype=torch.float64)
    size = 10.0 ** (torch.rand((), generator=g).item() * (2 * big) - big)
    free = torch.randn(t.shape, generator=g, dtype=torch.float64) * size
    out = torch.where(torch.isfinite(lo) & torch.isfinite(hi), lo + u * (hi - lo), free)
    out = torch.where(torch.isfinite(lo) & ~torch.isfinite(hi), lo + free.abs(), out)
    return torch.where(~torch.isfinite(lo) & torch.isfinite(hi), hi - free.abs(), out)


def attack(case, n=1500):
    """The largest relative violation found, and the values there."""
    cost, g = case.make(), torch.Generator().manual_seed(1)
    theta, names = cost.theta, cost.match(case.of)
    worst = (-1.0, None)
    for i in range(n):
        boxes = {k: (case.within or {}).get(k, (None, None)) for k in theta}
        big = (0.5, 1.5, 3.0)[i % 3]
        p = {k: sample(t, boxes[k], g, big) for k, t in theta.items()}
        if i == 0:
            p = theta
        r = {k: sample(t, boxes[k], g, big) if k in names else p[k] for k, t in theta.items()}
        e = (1.0, 0.1, 0.01, 1.0)[i % 4]
        r = {k: p[k] + e * (r[k] - p[k]) for k in p}
        if i % 5 == 4 and len(names) > 0:  # one coordinate only
            k = names[i % len(names)]
            flat, old = r[k].reshape(-1), p[k].reshape(-1).clone()
            j = i % old.numel()
            old[j] = flat[j]
            r = {**p, k: old.reshape(p[k].shape)}
        m = {k: (p[k] + r[k]) / 2 for k in p}
        with torch.no_grad():
            a, c, b = (cost(v) for v in (p, m, r))
        if not all(torch.isfinite(v) for v in (a, c, b)):
            continue
        v = gap(case.claim, a, c, b)
        size = 1.0 if case.claim.startswith("log") else max(abs(float(x)) for x in (a, c, b)) + 1e-300
        rel = float(v) / size
        if rel > worst[0]:
            worst = (rel, (p, r))
    return worst


if __name__ == "__main__":
    torch.set_num_threads(1)
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    for case in unseen.CASES:
        if part not in case.name:
            continue
        try:
            rel, where = attack(case)
        except Exception as e:
            print("ERROR", case.name, type(e).__name__, e)
            continue
        if (case.truth is not False and rel > 1e-11) or (case.truth is False and rel < 1e-11):
            print("CHECK", case.name, "truth", case.truth, "violation", rel, where if case.truth else "")
