"""Operations that no atom models are rejected as Unmodelled, or are refused while tracing; never as another error."""

import pytest
import torch
import torch.nn.functional as F

from jensen.atoms import registry
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.check import Claim, check
from jensen.kernel.errors import Rejected
from jensen.trace import trace

X = {"x": (4, 4)}
OPS = [
    ("svd", lambda x: torch.linalg.svd(x).S, X),
    ("eigh", lambda x: torch.linalg.eigvalsh(x + x.T), X),
    ("solve", lambda x: torch.linalg.solve(x, torch.eye(4).double()), X),
    ("cholesky", lambda x: torch.linalg.cholesky(x @ x.T + torch.eye(4)), X),
    ("logdet", lambda x: torch.linalg.slogdet(x).logabsdet, X),
    ("matrix_exp", lambda x: torch.matrix_exp(x), X),
    ("pinv", lambda x: torch.linalg.pinv(x), X),
    ("fft", lambda x: torch.fft.rfft(x).abs(), X),
    ("bicubic", lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), {"x": (1, 1, 4, 4)}),
    (
        "grid_sample",
        lambda x: F.grid_sample(x, torch.zeros(1, 2, 2, 2).double(), align_corners=False),
        {"x": (1, 1, 4, 4)},
    ),
    (
        "fractional",
        lambda x: F.fractional_max_pool2d(x, 2, 2, _random_samples=torch.full((1, 1, 2), 0.5).double()),
        {"x": (1, 1, 4, 4)},
    ),
    ("max_unpool", lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), {"x": (1, 1, 4, 4)}),
    ("kthvalue", lambda x: x.kthvalue(2).values, X),
    ("mode", lambda x: x.mode().values, X),
    ("median_dim", lambda x: x.median(1).values, X),
    ("quantile", lambda x: x.quantile(0.5), X),
    ("scatter_reduce", lambda x: x.scatter_reduce(0, torch.zeros(4, 4, dtype=torch.long), x, "amax"), X),
    ("argsort", lambda x: x[x[:, 0].argsort()], X),
    ("topk_indices", lambda x: x.gather(1, x.topk(2).indices), X),
    ("bucketize", lambda x: x * torch.bucketize(x, torch.zeros(1).double()), X),
    ("masked_select", lambda x: x.masked_select(x > 0), X),
    ("nonzero", lambda x: x.nonzero().double() @ torch.ones(2, 1).double() * x.sum(), X),
    ("unique", lambda x: x.unique(), X),
    ("histc", lambda x: x.histc(3) * x.sum(), X),
    ("renorm", lambda x: x.renorm(2, 0, 1.0), X),
    ("embedding_max_norm", lambda x: F.embedding(torch.tensor([1]), x, max_norm=0.1), X),
    ("norm_zero", lambda x: torch.linalg.vector_norm(x, 0), X),
    ("index_variable", lambda x: x[x.argmax(0)], X),
]


@pytest.mark.parametrize(("name", "fn", "shapes"), OPS, ids=[o[0] for o in OPS])
def test_unknown(name, fn, shapes):
    generator = torch.Generator().manual_seed(1)
    blocks = {n: torch.randn(s, generator=generator, dtype=torch.float64) for n, s in shapes.items()}
    with pytest.raises((Rejected, Misuse)):  # noqa: PT012
        problem = trace(Cost.of(lambda **t: fn(**t).sum(), **blocks)).problem
        check(problem, Claim("convex", tuple(blocks), {}), {"method": "rules"}, registry())
