"""The unseen zoo's functions of vectors and matrices; ``unseen.CASES`` gains them on import."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from unseen import At, D, T, X, q

# vectors
W, A3 = [1.0, -2.0, 3.0], D([2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0])
SING, INDEF = D([1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]), D([1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0])
B3, POSW = D(0.5, -1.0, 2.0), At([1.0, 2.0, 0.5], 0.1, None)
q("quadratic form", lambda w: w @ A3 @ w, "+convex; -concave", w=W)
q("quadratic form by einsum", lambda w: torch.einsum("i,ij,j->", w, SING, w), "+convex", w=W)
q("indefinite form by einsum", lambda w: torch.einsum("i,ij,j->", w, INDEF, w), "-convex; -concave", w=W)
q("quadratic form by outer", lambda w: (torch.outer(w, w) * A3).sum(), "+convex", w=W)
q("quadratic form by stack", lambda x, y: torch.stack([x, y]) @ A3[:2, :2] @ torch.stack([x, y]), "+convex", x=X, y=X)
q("quadratic form by trace", lambda w: torch.trace(torch.outer(w, w) @ A3), "+convex", w=W)
q("skew form", lambda w: w @ D([0.0, 1.0, 2.0], [-1.0, 0.0, 3.0], [-2.0, -3.0, 0.0]) @ w, "+convex; +affine", w=W)
q("least squares", lambda w: F.mse_loss(A3 @ w, B3) + 1e-3 * w.square().sum(), "+convex", w=W)
q("circulant", lambda w: (w * w).sum() - (w * w.roll(1)).sum(), "+convex", w=W)
q("reversed product", lambda w: w @ w.flip(0), "-convex", w=W)
q("total variation", lambda w: torch.diff(w).abs().sum() + (w[1:] - w[:-1]).square().sum(), "+convex", w=W)
q("spread", lambda w: w.amax() - w.amin() + (w - w.mean()).abs().mean(), "+convex", w=W)
q("variance over weights", lambda w: torch.var(w, unbiased=False) + w.std(), "+convex; -concave", w=W)
q("negated standard deviation", lambda w: -w.std(unbiased=False), "-convex; +concave", w=W)
q("sum of the largest", lambda w: w.topk(2).values.sum(), "+convex; -concave", w=W)
q("sum of the smallest", lambda w: w.topk(2, largest=False).values.sum(), "+concave; -convex", w=W)
q("sorted with rising weights", lambda w: w.sort().values @ D(1.0, 2.0, 3.0), "+convex", w=W)
q("sorted with falling weights", lambda w: w.sort().values @ D(3.0, 2.0, 1.0), "-convex; +concave", w=W)
q("median", lambda w: w.median(), "-convex; -concave", w=W)
q("norms", lambda w: w.norm(1) + w.norm(3) + torch.linalg.vector_norm(w, float("inf")), "+convex", w=W)
q("norm squared", lambda w: torch.linalg.norm(w) ** 2, "+convex", w=W)
q("norm to the 3/2", lambda w: w.norm() ** 1.5, "+convex; -concave", w=W)
q("root of the norm", lambda w: w.norm().sqrt(), "-convex; +quasiconvex", w=W)
q("half norm", lambda w: w.abs().sqrt().sum() ** 2, "-convex", w=W)
q("half norm of positives", lambda w: w.sqrt().sum() ** 2, "+concave", w=POSW)
q("frobenius", lambda m: torch.linalg.matrix_norm(m @ A3 - 1), "+convex", m=[[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]])
q(
    "distances",
    lambda a, b: torch.dist(a, b) + F.pairwise_distance(a[None], b[None]).sum(),
    "+convex; +convex of a",
    a=W,
    b=[0.0, 1.0, 0.0],
)
q("cdist", lambda a: torch.cdist(a, D([0.0, 1.0], [2.0, 2.0])).sum(), "+convex", a=[[1.0, 2.0], [3.0, -1.0]])
q("cosine similarity", lambda w: F.cosine_similarity(w, B3, dim=0), "-convex; -concave", w=W)
q("linear ratio", lambda w: (w @ B3) / (w.sum() + 1), "-convex; +quasiconvex; +quasiconcave", w=POSW)
q("logsumexp of an affine map", lambda w: torch.logsumexp(A3 @ w - B3, 0), "+convex; -concave", w=W)
q("logsumexp of squares", lambda w: torch.logsumexp(w * w, 0), "+convex", w=W)
q("logsumexp of logs", lambda w: torch.logsumexp(w.log(), 0), "+concave", w=POSW)
q("soft minimum", lambda w: -torch.logsumexp(-w, 0), "+concave; -convex", w=W)
q("shifted logsumexp", lambda w: (w - w.max()).exp().sum().log() + w.max(), "+convex", w=W)
q("log softmax", lambda w: F.log_softmax(w, 0)[1], "+concave; -convex", w=W)
q("softmax average", lambda w: F.softmax(w, 0) @ w, "-convex", w=W)
q("entropy of a softmax", lambda w: -(w.softmax(0) * w.log_softmax(0)).sum(), "-concave; -convex", w=W)
q("entropy", lambda w: torch.special.entr(w).sum(), "+concave", w=At([0.2, 0.3, 0.5], 0.0, None))
q("normalised entropy", lambda w: (w * (w / w.sum()).log()).sum(), "+convex", w=POSW)
q("kl to a distribution", lambda w: F.kl_div(F.log_softmax(w, 0), D(0.2, 0.3, 0.5), reduction="sum"), "+convex", w=W)
q("geometric mean", lambda w: w.log().mean().exp(), "+concave; +log-concave", w=POSW)
q("product", lambda w: w.prod(), "+log-concave; -concave; +quasiconcave", w=POSW)
q("log of a product", lambda w: w.prod().log(), "+concave", w=POSW)
q("product of exponentials", lambda w: w.exp().prod(), "+convex; +log-concave; +log-convex", w=W)
q("cumulative squares", lambda w: w.cumsum(0).square().sum() + w.cumsum(0).amax(), "+convex", w=W)
q("cumulative product", lambda w: w.cumprod(0).sum(), "-convex", w=W)
q("indexed", lambda w: w[[0, 0, 2]].square().sum() + w[1].abs(), "+convex; -concave", w=W)
q("concatenated", lambda a, b: torch.cat([a, 2 * b, a[:1] - b[:1]]).norm(), "+convex", a=[1.0, 2.0], b=[0.0, 1.0])
q("gathered product", lambda w: torch.gather(w, 0, T([0, 1])).prod(), "-convex; +quasiconcave", w=POSW)
q("log-determinant of a diagonal", lambda w: -w.log().sum() + (w * B3.abs()).sum(), "+convex", w=POSW)
q("sum of ratios", lambda w: (B3.square() / w).sum(), "+convex", w=POSW)
q("weighted p-means", lambda w: (w**4).mean() ** 0.25, "+convex", w=W)
q("smoothed l1", lambda w: (w.square() + 1e-6).sqrt().sum(), "+convex", w=W)
q("elastic net", lambda w: 0.3 * w.abs().sum() + 0.2 * w.dot(w), "+convex", w=W)
q("log-sum penalty", lambda w: torch.log1p(w.abs()).sum(), "-convex; -concave", w=W)
q("scad-like clip", lambda w: w.abs().clamp(max=1).sum(), "-convex", w=W)
