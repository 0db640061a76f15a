"""The zoo: costs with known answers, from single functions to whole networks.

Each case asks one claim of one cost; ``truth`` is known by hand (a second derivative, a theorem, an explicit chord), not
by running jensen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from jensen import Cost


@dataclass(frozen=True)
class Case:
    """One question. ``make`` builds the cost; ``truth`` is the answer."""

    name: str
    make: Callable[[], Cost]
    truth: bool
    of: str | tuple[str, ...] | None = None
    claim: str = "convex"
    within: Mapping[str, Any] | None = None
    ideal: bool = False


CASES: list[Case] = []


def _of(fn: Callable[..., Any], values: Mapping[str, Any]) -> Cost:
    return Cost.of(fn, **{n: torch.tensor(v, dtype=torch.float64) for n, v in values.items()})


def f(
    name: str,
    fn: Callable[..., Any],
    truth: bool,
    of: Any = None,
    claim: str = "convex",
    ideal: bool = False,
    **boxes: Any,
) -> None:
    """A function case; each keyword is a block: a value, or (lower, upper) bounds around which its value is chosen."""
    values, within = {}, {}
    for n, v in boxes.items():
        if isinstance(v, tuple):
            within[n] = v
            lo, hi = v
            values[n] = (lo + hi) / 2 if None not in v else (lo + 1.0 if lo is not None else hi - 1.0)
        else:
            values[n] = v
    CASES.append(Case(name, partial(_of, fn, values), truth, of, claim, within or None, ideal))


# one variable
f("square", lambda x: x * x, True, x=1.0)
f("cube", lambda x: x**3, False, x=1.0)
f("cube on x >= 0", lambda x: x**3, True, x=(0.0, None))
f("cube on x <= 0 is concave", lambda x: x * x * x, True, claim="concave", x=(None, 0.0))
f("fourth power", lambda x: x * x * x * x, True, x=1.0)
f("x^4 - x^2", lambda x: x**4 - x**2, False, x=1.0)
f("x^4 + x^2", lambda x: x**4 + x**2, True, x=1.0)
f("reciprocal on x > 0", lambda x: 1 / x, True, x=(0.1, None))
f("reciprocal on x < 0", lambda x: 1 / x, False, x=(None, -0.1))
f("root is concave", lambda x: x.sqrt(), True, claim="concave", x=(0.0, None))
f("root is not convex", lambda x: x.sqrt(), False, x=(0.0, None))
f("sqrt(1 + x^2)", lambda x: (1 + x * x).sqrt(), True, x=0.5)
f("log(1 + x^2)", lambda x: torch.log1p(x * x), False, x=0.5)
f("log(1 + x^2) is quasiconvex", lambda x: torch.log1p(x * x), True, claim="quasiconvex", x=0.5)
f("log(1 + x^2) on [-1, 1]", lambda x: torch.log1p(x * x), True, x=(-1.0, 1.0))
f("log1p(x)^2 on [0, e-1]", lambda x: torch.log1p(x) ** 2, True, x=(0.0, 1.71))
f("log1p(x)^2 beyond e-1", lambda x: torch.log1p(x) ** 2, False, x=(0.0, 9.0))
f("exp", lambda x: x.exp(), True, x=0.0)
f("exp is log-affine", lambda x: x.exp(), True, claim="log-concave", x=0.0)
f("exp(-x^2) is log-concave", lambda x: torch.exp(-x * x), True, claim="log-concave", x=0.1)
f("exp(-x^2)", lambda x: torch.exp(-x * x), False, x=0.1)
f("exp(-x^2) is quasiconcave", lambda x: torch.exp(-x * x), True, claim="quasiconcave", x=0.1)
f("exp(x^2) is log-convex", lambda x: torch.exp(x * x), True, claim="log-convex", x=0.1)
f("x exp(x) on x >= -2", lambda x: x * x.exp(), True, x=(-2.0, 5.0))
f("x exp(x)", lambda x: x * x.exp(), False, x=0.0)
f("x log x", lambda x: x * x.log(), True, x=(0.01, None))
f("entropy is concave", lambda x: -(x * x.log()), True, claim="concave", x=(0.01, None))
f("logistic", lambda x: torch.sigmoid(x), False, x=0.0)
f("logistic is log-concave", lambda x: torch.sigmoid(x), True, claim="log-concave", x=0.0)
f("-log sigmoid", lambda x: -torch.log(torch.sigmoid(x)), True, x=0.0)
f("-log(1 - sigmoid)", lambda x: -torch.log(1 - torch.sigmoid(x)), True, x=0.0)
f("log(1 + e^x)", lambda x: torch.log(1 + x.exp()), True, x=0.0)
f("log1p(exp)", lambda x: torch.log1p(x.exp()), True, x=0.0)
f("softplus as implemented", lambda x: F.softplus(x), False, x=0.0)
f("softplus ideally", lambda x: F.softplus(x), True, ideal=True, x=0.0)
f("softplus below its threshold", lambda x: F.softplus(x), True, x=(-50.0, 19.0))
f("tanh", lambda x: x.tanh(), False, x=0.0)
f("tanh on x <= 0", lambda x: x.tanh(), True, x=(None, 0.0))
f("tanh is quasilinear", lambda x: x.tanh(), True, claim="quasiconvex", x=0.0)
f("sin on [0, pi] is concave", lambda x: x.sin(), True, claim="concave", x=(0.0, 3.14))
f("sin", lambda x: x.sin(), False, x=0.0)
f("cos on [2, 4]", lambda x: x.cos(), True, x=(2.0, 4.0))
f("relu", lambda x: x.relu(), True, x=0.0)
f("leaky relu", lambda x: F.leaky_relu(x, 0.1), True, x=0.0)
f("leaky relu of slope 2", lambda x: F.leaky_relu(x, 2.0), False, x=0.0)
f("elu", lambda x: F.elu(x), True, x=0.0)
f("elu(alpha=2)", lambda x: F.elu(x, 2.0), False, x=0.0)
f("selu", lambda x: F.selu(x), False, x=0.0)
f("gelu", lambda x: F.gelu(x), False, x=0.0)
f("gelu on [-1, 1]", lambda x: F.gelu(x), True, x=(-1.0, 1.0))
f("silu", lambda x: F.silu(x), False, x=0.0)
f("relu6", lambda x: F.relu6(x), False, x=0.0)
f("hardshrink", lambda x: F.hardshrink(x), False, x=0.0)
f("softshrink", lambda x: F.softshrink(x), False, x=0.0)
f("softsign on x >= 0 is concave", lambda x: F.softsign(x), True, claim="concave", x=(0.0, None))
f("abs", lambda x: x.abs(), True, x=0.0)
f("abs^1.5", lambda x: x.abs() ** 1.5, True, x=0.5)
f("abs^0.5", lambda x: x.abs().sqrt(), False, x=0.5)
f("abs^0.5 is quasiconvex", lambda x: x.abs().sqrt(), True, claim="quasiconvex", x=0.5)
f("relu(x) - relu(x - 1)", lambda x: x.relu() - (x - 1).relu(), False, x=0.5)
f("2 relu(x) - x", lambda x: 2 * x.relu() - x, True, x=0.5)
f("huber", lambda x: F.huber_loss(x, torch.zeros_like(x)), True, x=0.5)
f("smooth l1", lambda x: F.smooth_l1_loss(x, torch.zeros_like(x)), True, x=0.5)
f("cosh", lambda x: x.cosh(), True, x=0.5)
f("lgamma on x > 0", lambda x: x.lgamma(), True, x=(0.1, None))
f("erf on x >= 0 is concave", lambda x: x.erf(), True, claim="concave", x=(0.0, None))
f("arctan", lambda x: x.atan(), False, x=0.5)
f("x / (1 + x)", lambda x: x / (1 + x), True, claim="concave", x=(0.0, 9.0))
f("constant in x", lambda x: 0 * x + 3, True, x=1.0)
f("affine", lambda x: 3 * x - 2, True, claim="affine", x=1.0)
f("square is not affine", lambda x: x * x, False, claim="affine", x=1.0)
f("tiny -1e-9 x^2", lambda x: -1e-9 * x * x, False, x=1.0)
f("x^-2 on x > 0", lambda x: x**-2, True, x=(0.1, 5.0))
f("x^-2 on x < 0", lambda x: x**-2, True, x=(-5.0, -0.1))

# several variables
f("xy", lambda x, y: x * y, False, x=0.0, y=0.0)
f("xy in x", lambda x, y: x * y, True, of="x", x=0.0, y=0.0)
f("xy on x, y >= 0 is quasiconcave", lambda x, y: x * y, True, claim="quasiconcave", x=(0.0, None), y=(0.0, None))
f("1e-11 xy", lambda x, y: 1e-11 * x * y, False, x=0.0, y=0.0)
f("1e20 xy", lambda x, y: 1e20 * x * y, False, x=0.0, y=0.0)
f("x^2 + xy + y^2", lambda x, y: x**2 + x * y + y**2, True, x=0.0, y=0.0)
f("x^2 + 2xy + y^2", lambda x, y: x**2 + 2 * x * y + y**2, True, x=0.0, y=0.0)
f("x^2 + 2.000001 xy + y^2", lambda x, y: x**2 + 2.000001 * x * y + y**2, False, x=0.0, y=0.0)
f("(a - b)(a - b)", lambda a, b: (a - b) * (a - b), True, a=1.0, b=0.0)
f("x^2 y^2", lambda x, y: x**2 * y**2, False, x=1.0, y=1.0)
f("x^2 y^2 in y", lambda x, y: x**2 * y**2, True, of="y", x=1.0, y=1.0)
f("x^2 / y", lambda x, y: x**2 / y, True, x=1.0, y=(0.1, None))
f("x^2 / y^2", lambda x, y: x**2 / y**2, False, x=1.0, y=(0.1, None))
f("x^4 / y^3", lambda x, y: x**4 / y**3, True, x=1.0, y=(0.1, None))
f("exp(x) / y", lambda x, y: x.exp() / y, True, x=1.0, y=(0.1, None))
f("1 / (xy)", lambda x, y: 1 / (x * y), True, x=(0.1, None), y=(0.1, None))
f("geometric mean is concave", lambda x, y: (x * y).sqrt(), True, claim="concave", x=(0.1, None), y=(0.1, None))
f("x^0.3 y^0.6 is concave", lambda x, y: x**0.3 * y**0.6, True, claim="concave", x=(0.1, None), y=(0.1, None))
f("x^0.7 y^0.7 is not concave", lambda x, y: x**0.7 * y**0.7, False, claim="concave", x=(0.1, None), y=(0.1, None))
f("ratio is quasiconvex", lambda x, y: x / y, True, claim="quasiconvex", x=1.0, y=(0.1, None))
f(
    "convex over concave is quasiconvex",
    lambda x, y: (1 + x * x) / y.sqrt(),
    True,
    claim="quasiconvex",
    x=1.0,
    y=(0.1, None),
)
f("ratio is not convex", lambda x, y: x / y, False, x=1.0, y=(0.1, None))
f("norm", lambda w: torch.linalg.vector_norm(w), True, w=[1.0, 2.0, 3.0])
f("norm by hand", lambda w: (w * w).sum().sqrt(), True, w=[1.0, 2.0, 3.0])
f("distance", lambda a, b: ((a - b) ** 2).sum().sqrt(), True, a=[1.0, 2.0], b=[0.0, 1.0])
f("hypot", lambda x, y: torch.hypot(x, y), True, x=1.0, y=2.0)
f("logsumexp", lambda w: torch.logsumexp(w, 0), True, w=[1.0, 2.0, 3.0])
f("logsumexp by hand", lambda w: w.exp().sum().log(), True, w=[1.0, 2.0, 3.0])
f("log(e^x + e^y + 1)", lambda x, y: torch.log(x.exp() + y.exp() + 1), True, x=1.0, y=2.0)
f("logaddexp", lambda x, y: torch.logaddexp(x, y), True, x=1.0, y=2.0)
f("softmax entry", lambda w: w.softmax(0)[0], False, w=[1.0, 2.0])
f("softmax entry is log-concave", lambda w: w.softmax(0)[0], True, claim="log-concave", w=[1.0, 2.0])
f("max", lambda w: w.max(), True, w=[1.0, 2.0, 3.0])
f("min", lambda w: w.min(), False, w=[1.0, 2.0, 3.0])
f("max of quadratics", lambda x: torch.maximum(x**2, (x - 1) ** 2), True, x=1.0)
f("min of quadratics", lambda x: torch.minimum(x**2, (x - 1) ** 2), False, x=1.0)
f("dot", lambda w: w @ w, True, w=[1.0, 2.0])
f("relative entropy", lambda x, y: x * (x / y).log(), True, x=(0.1, None), y=(0.1, None))
f("rosenbrock", lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2, False, x=0.0, y=0.0)
f("x^2 + y^2 (1 + x)^3", lambda x, y: x**2 + y**2 * (1 + x) ** 3, False, x=0.0, y=0.0)
f("log(1 + x^2 + y^2) is quasiconvex", lambda x, y: torch.log1p(x * x + y * y), True, claim="quasiconvex", x=0.0, y=1.0)
f("sum |w|^p, p = 0.5", lambda w: w.abs().sqrt().sum(), False, w=[1.0, -2.0])
f("sum |w|", lambda w: w.abs().sum(), True, w=[1.0, -2.0])
f(
    "1e20 quadratic with eigenvalue -1e-11",
    lambda w: 1e20 * (w * w * torch.tensor([1.0, -1e-11], dtype=torch.float64)).sum(),
    False,
    w=[1.0, 1.0],
)
f("distance to a beacon, squared and fitted", lambda x, y: ((x**2 + y**2).sqrt() - 1) ** 2, False, x=0.5, y=0.5)
f("var", lambda w: w.var(), True, w=[1.0, 2.0, 5.0])
f("std", lambda w: w.std(), True, w=[1.0, 2.0, 5.0])
f("prod", lambda w: w.prod(), False, w=[1.0, 2.0])
f("MA(1), three steps", lambda t: 1.0 + (0.5 - t) ** 2 + (-2.0 - t * (0.5 - t)) ** 2, False, t=0.1)
f("MA(1), two steps", lambda t: 1.0 + (0.5 - t) ** 2, True, t=0.1)


# networks
def _data(n: int = 12, i: int = 4, o: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    return torch.randn(n, i, generator=g, dtype=torch.float64), torch.randn(n, o, generator=g, dtype=torch.float64)


def _net(*sizes: int, act: type[nn.Module] | None = nn.Tanh) -> nn.Sequential:
    torch.manual_seed(5)
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), *([act()] if act else [])]
    return nn.Sequential(*(layers[:-1] if act else layers))


def _regression(net: nn.Module, loss: Any = None, penalty: Any = None) -> Cost:
    return Cost(net, loss or nn.MSELoss(), _data(), penalty)


def _classes(net: nn.Module, **kw: Any) -> Cost:
    x, y = _data()
    return Cost(net, nn.CrossEntropyLoss(**kw), (x, y.argmax(1)))


def net(name: str, make: Callable[[], Cost], truth: bool, of: Any = None, **kw: Any) -> None:
    CASES.append(Case(name, make, truth, of, **kw))


net("softmax regression", lambda: _classes(_net(4, 3)), True)
net("softmax regression, smoothed labels", lambda: _classes(_net(4, 3), label_smoothing=0.1), True)
net("softmax regression, class weights", lambda: _classes(_net(4, 3), weight=torch.tensor([1.0, 2.0, 0.5])), True)
net("linear regression", lambda: _regression(_net(4, 3)), True)
net("linear regression, huber", lambda: _regression(_net(4, 3), nn.HuberLoss()), True)
net("lasso", lambda: _regression(_net(4, 3), penalty=lambda p: sum(t.abs().sum() for t in p.values())), True)
net("penalty |w|^0.5", lambda: _regression(_net(4, 3), penalty=lambda p: 100 * p["0.weight"].abs().sqrt().sum()), False)
net("mlp jointly", lambda: _classes(_net(4, 6, 3)), False)
net("mlp, last layer", lambda: _classes(_net(4, 6, 3)), True, of="2.*")
net("mlp, first layer", lambda: _classes(_net(4, 6, 3)), False, of="0.*")
net("mlp, first weight alone", lambda: _classes(_net(4, 6, 3)), False, of="0.weight")
net("relu mlp jointly", lambda: _regression(_net(4, 6, 3, act=nn.ReLU)), False)
net("relu mlp, first layer", lambda: _regression(_net(4, 6, 3, act=nn.ReLU)), False, of="0.*")
net("relu mlp, middle layer", lambda: _regression(_net(4, 6, 6, 3, act=nn.ReLU)), False, of="2.weight")
net("relu mlp, last layer", lambda: _regression(_net(4, 6, 3, act=nn.ReLU)), True, of="2.*")
net("deep linear jointly", lambda: _regression(_net(4, 5, 3, act=None)), False)
net("deep linear, one layer", lambda: _regression(_net(4, 5, 3, act=None)), True, of="0.*")
net("deep linear, the other layer", lambda: _regression(_net(4, 5, 3, act=None)), True, of="1.*")
net("sigmoid output with square loss", lambda: _regression(nn.Sequential(*_net(4, 3), nn.Sigmoid())), False)
net(
    "batch norm in evaluation, head",
    lambda: _classes(nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)).eval()),
    True,
    of="2.*",
)
net(
    "layer norm, head",
    lambda: _classes(nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))),
    True,
    of="2.*",
)
net(
    "layer norm, its gain",
    lambda: _classes(nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))),
    True,
    of="1.*",
)
net(
    "layer norm, body",
    lambda: _classes(nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))),
    False,
    of="0.*",
)


class Icnn(nn.Module):
    """A network that is convex in its input where the second layer's weights are not negative."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b, self.skip = nn.Linear(3, 5), nn.Linear(5, 1), nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.relu(self.a(x)), self.b.weight.exp(), self.b.bias) + self.skip(x)


def _in_input(make: Callable[[], nn.Module]) -> Cost:
    body = make().double()
    return _of(lambda x: body(x).sum(), {"x": [0.1, -0.4, 0.7]})


net("input-convex network in its input", lambda: _in_input(Icnn), True)
net("plain network in its input", lambda: _in_input(lambda: _net(3, 5, 1)), False)


_RBF_DATA = _data(8, 2, 1)


def _rbf(c: torch.Tensor, s: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    x, y = _RBF_DATA
    d = ((x[:, None, :] - c[None]) ** 2).sum(-1)
    return ((torch.exp(-d * s.exp()) @ w - y[:, 0]) ** 2).mean()


_rbf_at = {"c": [[0.0, 1.0], [1.0, 0.0]], "s": [0.0, 0.1], "w": [1.0, -1.0]}
net("rbf network, output weights", lambda: _of(_rbf, _rbf_at), True, of="w")
net("rbf network, centres", lambda: _of(_rbf, _rbf_at), False, of="c")
net(
    "two identity units with fixed output weights",
    lambda: _of(lambda a, b: (a + b - 1) ** 2, {"a": 0.0, "b": 1.0}),
    True,
)
net(
    "convolution then square loss",
    lambda: Cost(nn.Conv1d(1, 2, 3), nn.MSELoss(), (torch.randn(2, 1, 8), torch.randn(2, 2, 6))),
    True,
)
net(
    "max pooling of the weights' images",
    lambda: _of(lambda w: F.max_pool1d(w[None, None], 2).sum(), {"w": [1.0, 2.0, 3.0, 0.0]}),
    True,
)
