"""remedies: each is proved for what its sentence says, its code does it to the user's own file, and none is offered in vain."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from typer.testing import CliRunner

import jensen
from jensen import Cost, Remedies
from jensen.ask.remedies import exchange, logarithm, reformulate, unpenalised
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.ground import Ground, maximal
from jensen.ask.remedies.linearise import linearised
from jensen.cli import app
from jensen.trace import trace

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


def kinds(answer: Remedies) -> set[str]:
    return {r.kind for r in answer.remedies}


def one(answer: Remedies, kind: str) -> Remedy:
    return next(r for r in answer.remedies if r.kind == kind)


def ground(cost: Cost) -> Ground:
    """What one kind of remedy starts from, with as much time as it likes."""
    problem, now = trace(cost).problem, time.perf_counter()
    return Ground(cost, problem, maximal(problem, {}), {}, now, now + 1e6)


def verified(answer: Remedies, tmp_path: Path) -> None:
    """Every certificate is accepted from its file, and is about the changed cost."""
    for k, r in enumerate(answer.remedies):
        r.finding.save(tmp_path / f"{k}.jensen")
        accepted = jensen.verify(tmp_path / f"{k}.jensen", cost=r.cost)
        assert accepted.kind == "convex" and tuple(accepted.blocks) == r.blocks
        assert accepted.statement == r.finding.statement
        if r.cost is not None and not r.finding.certificate.claim.ideal:
            lies_below_chords(r)


def lies_below_chords(r: Remedy) -> None:
    """The changed cost on random chords in its blocks, the others at random values, all in the claim's box."""
    generator = torch.Generator().manual_seed(7)
    within = r.finding.certificate.claim.within

    def point() -> dict[str, torch.Tensor]:
        out = {n: 2 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in r.cost.theta.items()}
        return {n: t.clamp(*(torch.as_tensor(b) for b in within[n])) if n in within else t for n, t in out.items()}

    for _ in range(5):
        a, b = point(), point()
        b |= {n: t for n, t in a.items() if n not in r.blocks}
        ends, middle = (float(r.cost(a)) + float(r.cost(b))) / 2, {n: (a[n] + b[n]) / 2 for n in a}
        assert float(r.cost(middle)) <= ends + 1e-9 * (1 + abs(ends))


# -- functions with answers known by hand ----------------------------------------------------------------------------


def test_product(tmp_path: Path) -> None:
    """xy: freeze a factor; mu = 1 by the eigenvalues -1 and 1 of its Hessian; exp(u + v) in the logarithms."""
    answer = jensen.remedies(Cost.of(lambda x, y: x * y, x=1.0, y=2.0))
    assert kinds(answer) == {"freeze", "penalty", "logarithm"} and answer.verdict == "REFUTED"
    assert {r.blocks for r in answer.remedies if r.kind == "freeze"} == {("x",), ("y",)}
    penalty = one(answer, "penalty")
    assert "mu = 1," in penalty.change and "everywhere" in penalty.change and penalty.blocks == ("x", "y")
    assert one(answer, "logarithm").blocks == ("log x", "log y")
    sizes = [r.size for r in answer.remedies]
    assert sizes == sorted(sizes)
    verified(answer, tmp_path)


def test_smallest_penalty() -> None:
    """The second derivative of x^4 - x^2 is 12 x^2 - 2; that of sin is -sin."""
    assert "mu = 2," in one(jensen.remedies(Cost.of(lambda x: x**4 - x**2, x=0.3)), "penalty").change
    sine = one(jensen.remedies(Cost.of(lambda x: torch.sin(x) - x, x=0.3)), "penalty")
    assert "mu = 0.841" in sine.change and sine.options["within"] == {"x": [-1.0, 1.0]}  # sin(1)


def test_asked_box() -> None:
    """On [1, 2] the curvature of x y is that of everywhere, and x^3 needs nothing there."""
    cubic = jensen.remedies(Cost.of(lambda x: x**3, x=1.5), within={"x": (1.0, 2.0)})
    assert cubic.verdict == "PROVED" and not cubic.remedies
    bilinear = jensen.remedies(Cost.of(lambda x, y: x * y, x=1.5, y=1.5), within={"x": (1.0, 2.0), "y": (1.0, 2.0)})
    assert all("within" in r.options for r in bilinear.remedies if r.kind == "penalty")
    assert "mu = 1," in one(bilinear, "penalty").change


def test_hold_and_current_values() -> None:
    """a x^2 is convex in x for a >= 0, and for the a of now; x^2 / y is so jointly for y > 0."""
    answer = jensen.remedies(Cost.of(lambda a, x: a * x**2, a=1.0, x=0.3))
    hold = one(answer, "hold")
    assert hold.blocks == ("x",) and hold.options == {"of": ["x"], "within": {"a": [0.0, float("inf")]}}
    assert "any value so held" in hold.change
    here = next(r for r in answer.remedies if r.kind == "freeze" and r.blocks == ("x",))
    assert "at the current values" in here.change and here.finding.statement == "J is convex in x"
    negative = jensen.remedies(Cost.of(lambda a, x: a * x**2, a=-1.0, x=0.3))
    assert {r.blocks for r in negative.remedies if r.kind == "freeze"} == {("a",)}
    quotient = one(jensen.remedies(Cost.of(lambda x, y: x**2 / y, x=1.0, y=2.0)), "hold")
    assert quotient.blocks == ("x", "y") and not quotient.frozen and "y at least" in quotient.change


def test_posynomial(tmp_path: Path) -> None:
    answer = jensen.remedies(Cost.of(lambda x, y, z: x * y / z + z**2 / x + 1 / y, x=1.0, y=2.0, z=1.0))
    assert one(answer, "logarithm").blocks == ("log x", "log y", "log z")
    verified(answer, tmp_path)


def test_logarithms_of_a_part_of_a_model(tmp_path: Path) -> None:
    """Some of the logarithms vary, and not all values are positive: the code still does what was proved."""
    head = """
import torch, jensen
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (torch.nn.Parameter(torch.tensor(v)) for v in (0.7, -0.4, 0.4))
    def forward(self, x):
        return self.a * x + self.b / self.a + 1 / self.b + torch.sin(self.c) * self.a
model, loss, data = Net(), lambda out, y: out.mean(), (torch.tensor([0.5, 2.0]), torch.zeros(2))
"""
    made = "\ncost = jensen.Cost(model, loss, data)"
    (found,), _ = logarithm.search(ground(load(head + made)))
    assert found.blocks == ("log b",) and "1 not so now" in found.price
    (tmp_path / "changed.py").write_text(head + found.how + made)
    assert CliRunner().invoke(app, ["check", str(tmp_path / "changed.py")]).exit_code == 0
    cost = Cost.of(lambda x, y: x * y, x=1.0, y=-2.0)
    (found,), _ = logarithm.search(ground(cost))
    assert found.cost.theta["log y"].exp() == pytest.approx(2.0)


def test_box_alone() -> None:
    """gelu is convex on [-1, 1], beyond it is not."""
    answer = jensen.remedies(Cost.of(lambda x: F.gelu(x), x=0.3))
    assert one(answer, "box").options["within"] == {"x": [-1.0, 1.0]}


@pytest.mark.parametrize(("inner", "price"), [(2, "a lower bound"), (3, "the same minimum")])
def test_factorisation(inner: int, price: str) -> None:
    """The product of 3 x k and k x 3 matrices is any matrix from k = 3 on."""
    target = torch.eye(3, dtype=torch.float64)
    u, v = torch.randn(3, inner), torch.randn(inner, 3)
    answer = jensen.remedies(Cost.of(lambda U, V: (U @ V - target).square().sum(), U=u, V=v))
    (known,) = answer.reformulations
    assert known.price.startswith(price) and known.finding is not None
    assert known.finding.blocks == ("product of U and V",)


def test_no_factorisation_where_a_factor_is_used_elsewhere() -> None:
    u = torch.randn(2, 2)
    cost = Cost.of(lambda U, V: (U @ V).square().sum() + U.square().sum(), U=u, V=u)
    assert not jensen.remedies(cost).reformulations


def test_one_factor_shared_by_several_products() -> None:
    """[U V1, U V2] is a 3 x 4 matrix of rank at most 2: not every value can be reached, though each U Vi is 3 x 2."""
    assert reformulate._rank("aten.matmul.default", (3, 2), (2, 2, 2)) == (2, 3)
    assert reformulate._rank("aten.matmul.default", (2, 3, 2), (2, 2, 2)) == (2, 2)
    assert reformulate._rank("aten.linear.default", (5, 2), (3, 2)) == (2, 3)
    assert reformulate._rank("aten.matmul.default", (3, 2), (2,)) == (2, 1)
    assert reformulate._rank("aten.mul.Tensor", (3, 1), (1, 4)) == (1, 3)


def test_none_found() -> None:
    answer = jensen.remedies(Cost.of(lambda x: x.abs().sqrt().sum(), x=[0.3, 1.0]))
    assert not answer.remedies and answer.statement.startswith("none found among these kinds: freeze")
    assert all(t.why and not t.found for t in answer.tried)


def test_already_convex() -> None:
    x, y = torch.randn(8, 3), torch.randint(2, (8,))
    answer = jensen.remedies(Cost(nn.Linear(3, 2), nn.CrossEntropyLoss(), (x, y)))
    assert answer.verdict == "PROVED" and not answer.remedies and "no remedy is needed" in answer.statement
    data = answer.to_dict()
    assert list(data) == ["remedies", "tried", "verdict", "statement", "reformulations", "seconds"]


def test_misuse() -> None:
    with pytest.raises(jensen.Misuse, match=r"not a jensen\.Cost"):
        jensen.remedies(3)  # type: ignore[arg-type]
    with pytest.raises(jensen.Misuse, match="budget"):
        jensen.remedies(Cost.of(lambda x: x, x=1.0), budget=-1)


# -- models: the code does it to the user's own file -----------------------------------------------------------------

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F
import jensen
torch.manual_seed(0)
x, classes, wanted = torch.randn(12, 4), torch.randint(3, (12,)), torch.randn(12, 3)
shares, yes = F.one_hot(classes, 3).double(), torch.randint(2, (12, 1)).double()
"""

FILES = {
    "mlp": (
        "nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))",
        "nn.CrossEntropyLoss()",
        "classes",
        {"freeze", "activation", "collapse", "linearise"},
    ),
    "batch norm": (
        "nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))",
        "nn.CrossEntropyLoss()",
        "classes",
        {"freeze", "normalisation", "linearise"},
    ),
    "clamped logarithm": (
        "nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1), nn.Sigmoid())",
        "nn.BCELoss()",
        "yes",
        {"loss", "loss+activation", "loss+linearise", "constant"},
    ),
    "square loss on shares": (
        "nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))",
        "nn.MSELoss()",
        "shares",
        {"loss", "linearise"},
    ),
    "softplus": (
        "nn.Sequential(nn.Linear(4, 1), nn.Softplus(beta=2.0))",
        "nn.L1Loss()",
        "-yes",
        {"constant", "activation", "box"},
    ),
    "one-sided loss": (
        "nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))",
        "lambda out, y: F.relu(out - y).square().mean()",
        "yes",
        {"hold", "activation", "freeze"},
    ),
}


def source(name: str, before: str = "", after: str = "") -> str:
    model, loss, target, _ = FILES[name]
    made = "" if after.startswith("cost = jensen.Cost(") else "cost = jensen.Cost(model, loss, data)"
    return f"{HEAD}model, loss, data = {model}, {loss}, (x, {target})\n{before}\n{made}\n{after}\n"


def load(text: str) -> Cost:
    scope: dict = {}
    exec(text, scope)
    return scope["cost"]


def parts(how: str) -> tuple[str, str]:
    """The lines before the cost is made, and those after: the rule of ``Remedy.how``."""
    lines = how.split("\n")
    k = next((i for i, line in enumerate(lines) if line.startswith(("cost =", "from jensen"))), len(lines))
    return "\n".join(lines[:k]), "\n".join(lines[k:])


def flags(options: dict) -> list[str]:
    out = ["--ideal"] if options.get("ideal") else []
    for name in options.get("of", []):
        out += ["--of", name]
    for name, (lo, hi) in options.get("within", {}).items():
        out += ["--within", f"{name}={lo}:{hi}"]
    return out


@pytest.mark.parametrize("name", list(FILES))
def test_applied_to_the_file(name: str, tmp_path: Path) -> None:
    answer = jensen.remedies(load(source(name)), budget=30.0)
    assert kinds(answer) >= FILES[name][-1], answer.statement
    verified(answer, tmp_path)
    for k, r in enumerate(answer.remedies):
        file = tmp_path / f"changed_{k}.py"
        file.write_text(source(name, *parts(r.how)))
        result = CliRunner().invoke(app, ["check", str(file), *flags(r.options)])
        assert result.exit_code == 0, (r.kind, r.how, result.output)


def test_applied_to_a_function(tmp_path: Path) -> None:
    head = "import torch, jensen\nf = lambda x, y: x * y\nx, y = torch.tensor(1.0), torch.tensor(2.0)\n"
    text = f"{head}cost = jensen.Cost.of(f, x=x, y=y)\n"
    for k, r in enumerate(jensen.remedies(load(text)).remedies):
        file = tmp_path / f"changed_{k}.py"
        file.write_text(text + r.how)
        assert CliRunner().invoke(app, ["check", str(file), *flags(r.options)]).exit_code == 0, r.how


def test_remedies_leave_the_model_alone() -> None:
    text = source("batch norm")
    cost = load(text)
    before = {n: t.clone() for n, t in cost._model.state_dict().items()}
    jensen.remedies(cost, budget=5.0)
    assert all(torch.equal(t, before[n]) for n, t in cost._model.state_dict().items())
    assert all(m.training for m in cost._model.modules()) and all(p.requires_grad for p in cost._model.parameters())


def test_a_penalty_that_bends_is_dropped(tmp_path: Path) -> None:
    """Half powers of absolute values: without them softmax regression is convex, in float32 and with weights too."""
    head = (
        f"{HEAD}model, loss, data = nn.Linear(4, 3), nn.CrossEntropyLoss(), (x, classes)\nweight = lambda x, y: 2.0\n"
    )
    made = "cost = jensen.Cost(model, loss, data, lambda p: sum(t.abs().sqrt().sum() for t in p.values()), weight=weight)\n"
    (dropped,), _ = unpenalised.search(ground(load(head + made)))
    assert dropped.change.startswith("drop the penalty") and not dropped.frozen
    assert dropped.how == "cost = jensen.Cost(model, loss, data, weight=weight)"
    (tmp_path / "changed.py").write_text(head + dropped.how)
    assert CliRunner().invoke(app, ["check", str(tmp_path / "changed.py")]).exit_code == 0


def test_a_function_kept_as_an_attribute(tmp_path: Path) -> None:
    """torch's transformer layers call the function that they keep as ``activation``: code reaches it."""
    made = "nn.Sequential(nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True, norm_first=True), nn.Linear(4, 2))"
    head = f"{HEAD}model, loss, data = {made}, nn.MSELoss(), (torch.randn(2, 3, 4), torch.randn(2, 3, 2))\n"
    found, _ = exchange.search(ground(load(f"{head}cost = jensen.Cost(model, loss, data)")))
    changed = next(r for r in found if r.kind == "activation")
    assert changed.how.startswith("model[0].activation = torch.nn.Identity()") and changed.cost is not None
    scope: dict = {}
    exec(head + changed.how, scope)
    model, (x, _) = scope["model"].eval(), scope["data"]
    with torch.no_grad():  # where torch would take the layer's fused kernel
        inference = model(x)
    assert torch.allclose(inference, model(x))
    (tmp_path / "changed.py").write_text(f"{head}{changed.how}\ncost = jensen.Cost(model, loss, data)")
    assert CliRunner().invoke(app, ["check", str(tmp_path / "changed.py")]).exit_code == 0


def test_calls_inside_a_forward(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.softmax(self.b(torch.tanh(self.a(x))), -1)

    x, y = torch.randn(9, 4), F.one_hot(torch.randint(3, (9,)), 3).double()
    answer = jensen.remedies(Cost(Net(), nn.MSELoss(), (x, y)))
    assert one(answer, "loss").blocks == ("b.weight", "b.bias")
    assert "return x in place of softmax(x)" in one(answer, "loss").how
    assert one(answer, "loss+activation").blocks == ("a.weight", "a.bias", "b.bias")
    verified(answer, tmp_path)


# -- the linearisation -----------------------------------------------------------------------------------------------


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


NETWORKS = {
    "lstm": Reader,
    "attention": lambda: nn.Sequential(nn.TransformerEncoderLayer(3, 1, 5, 0.0, batch_first=True), nn.Flatten()),
    "group norm": lambda: nn.Sequential(nn.Conv1d(4, 4, 2), nn.GroupNorm(2, 4), nn.GELU(), nn.Flatten()),
}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_linearisation_is_the_derivative(name: str) -> None:
    """The squares' minimiser knows first derivatives only: J of the linearisation is the Taylor polynomial's J."""
    torch.manual_seed(0)
    model = NETWORKS[name]()
    x = torch.randn(2, 4, 3)
    y = torch.randn_like(model(x))
    cost = Cost(model, nn.MSELoss(), [(x, y), (torch.randn(2, 4, 3), y)])
    line = linearised(cost)
    assert line.blocks == cost.blocks and float(line()) == pytest.approx(float(cost()), rel=1e-12)
    move = {n: torch.randn_like(t) for n, t in cost.theta.items()}
    errors = []
    for h in (1e-3, 5e-4):
        theta = {n: t + h * move[n] for n, t in cost.theta.items()}
        errors.append(abs(float(cost(theta)) - float(line(theta))))
    assert 2.5 < errors[0] / errors[1] < 6  # what is left is of second order


def test_streamed_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that is read again on every pass gives the remedies that the same data in memory gives."""
    chunks = [(torch.randn(4, 4), torch.randint(3, (4,))) for _ in range(3)]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    kept = jensen.remedies(Cost(model, nn.CrossEntropyLoss(), chunks), budget=6.0)
    monkeypatch.setattr("jensen.chunks.IN_MEMORY", 0)
    cost = Cost(model, nn.CrossEntropyLoss(), chunks)
    assert cost.streamed
    streamed = jensen.remedies(cost, budget=6.0)
    assert kinds(streamed) >= {"freeze", "activation", "linearise"}
    assert [(r.kind, r.blocks) for r in streamed.remedies] == [(r.kind, r.blocks) for r in kept.remedies]


def test_a_module_in_two_places() -> None:
    """Exchanged where it matters only; the code names that place."""
    act = nn.SiLU()
    model = nn.Sequential(nn.Linear(4, 5), act, nn.Linear(5, 5), act, nn.Linear(5, 2))
    answer = jensen.remedies(
        Cost(model, nn.CrossEntropyLoss(), (torch.randn(9, 4), torch.randint(2, (9,)))), budget=12.0
    )
    changed = one(answer, "activation")
    assert changed.how.startswith("model[3] = torch.nn.Identity()") and changed.blocks == (
        "2.weight",
        "2.bias",
        "4.bias",
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits_mlp.py", "digits_convnet.py"])
def test_digits(name: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from jensen.target import resolve

    answer = jensen.remedies(resolve(str(EXAMPLES / name)))
    assert kinds(answer) >= {"freeze", "activation", "linearise"}
    verified(answer, tmp_path)
