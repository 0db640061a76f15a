"""Mechanisms alone: answers that are known, each with a certificate that is saved and checked again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import jensen
from jensen import Misuse, Verdict, chunks
from jensen.ask.why import mechanisms as home
from jensen.ask.why.answer import Mechanism
from jensen.ask.why.mechanisms import mechanisms
from jensen.kernel.program import Problem
from jensen.linalg.torch_reading import streamed

PRODUCTS, ACTIVATIONS, NORMS = "products of parameters alone", "activations alone", "normalisations alone"
NETWORK, LOSS = "network alone, the loss linearised", "loss alone"
ONE, CONE = "one block at a time", "inside one ordered cone"
DROPPED, PENALTY = "penalty dropped", "penalty alone"


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, T, Y = normal(8, 3, seed=1), normal(8, 2, seed=2), torch.tensor([0, 1, 0, 1, 1, 0, 0, 1])
KINDS = {Verdict.REFUTED: "not convex", Verdict.PROVED: "convex"}


def table(cost: jensen.Cost, folder: Path, **options: Any) -> dict[str, Mechanism]:
    """The rows by name; every certificate is saved, and says what the row says."""
    rows = mechanisms(cost, **options)
    for k, m in enumerate(rows):
        assert m.enough == {"REFUTED": "yes", "PROVED": "no"}.get(m.verdict.value, "unknown")
        assert m.finding.verdict == m.verdict and m.statement == m.finding.statement and m.statement.startswith("With ")
        if m.verdict in KINDS:
            m.finding.save(folder / f"{k}.jensen")
            accepted = jensen.verify(folder / f"{k}.jensen")
            assert accepted.kind == KINDS[m.verdict] and accepted.statement in m.statement
        else:
            assert m.finding.certificate is None and m.reason
    assert len({m.name for m in rows}) == len(rows)
    return {m.name: m for m in rows}


def enough(rows: Mapping[str, Mechanism]) -> dict[str, str]:
    return {name: m.enough for name, m in rows.items()}


def test_a_product_breaks_it_and_no_block_alone(tmp_path: Path) -> None:
    """xy: a saddle in x and y, linear in each."""
    rows = enough(table(jensen.Cost.of(lambda x, y: x * y, x=1.0, y=2.0), tmp_path))
    assert rows == {
        PRODUCTS: "yes", ACTIVATIONS: "no", ONE: "no", "block x alone": "no", "block y alone": "no", CONE: "unknown",
    }  # fmt: skip


def test_squares_of_a_product(tmp_path: Path) -> None:
    """x^2 y^2: linearised at (1, 2) the squares leave (2x - 1)(4y - 4), a saddle; the product linearised leaves convex squares."""
    rows = table(jensen.Cost.of(lambda x, y: x**2 * y**2, x=1.0, y=2.0), tmp_path)
    assert (rows[PRODUCTS].enough, rows[ACTIVATIONS].enough, rows[ONE].enough) == ("yes", "no", "no")
    assert "pow" in rows[PRODUCTS].statement


def test_the_answer_is_about_the_point(tmp_path: Path) -> None:
    """At the origin x^2 and y^2 have the tangent zero: nothing is left of the product."""
    cost = jensen.Cost.of(lambda x, y: x**2 * y**2, x=1.0, y=2.0)
    zero = {"x": torch.tensor(0.0), "y": torch.tensor(0.0)}
    assert table(cost, tmp_path, at=zero)[PRODUCTS].enough == "no"


def test_deep_linear_network(tmp_path: Path) -> None:
    """Square loss of W2 W1 x: products alone break it, there are no activations, each block alone is least squares."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 2, bias=False))
    rows = table(jensen.Cost(model, nn.MSELoss(), (X, T)), tmp_path)
    assert enough(rows) == {
        PRODUCTS: "yes", ACTIVATIONS: "no", NETWORK: "yes", LOSS: "no", ONE: "no",
        "block 0.weight alone": "no", "block 1.weight alone": "no", CONE: "yes",
    }  # fmt: skip
    assert "no activations" in rows[ACTIVATIONS].reason


def test_nothing_breaks_softmax_regression(tmp_path: Path) -> None:
    rows = enough(table(jensen.Cost(nn.Linear(3, 2), nn.CrossEntropyLoss(), (X, Y)), tmp_path))
    assert rows.pop(CONE) == "unknown"
    assert set(rows.values()) == {"no"} and {PRODUCTS, ACTIVATIONS, NETWORK, LOSS, ONE} <= set(rows)


def test_a_network_with_one_hidden_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    rows = table(jensen.Cost(model, nn.CrossEntropyLoss(), (X, Y)), tmp_path)
    assert enough(rows) == {
        PRODUCTS: "yes", ACTIVATIONS: "yes", NETWORK: "yes", LOSS: "no", ONE: "yes", "block 0.weight alone": "yes",
        "block 0.bias alone": "yes", "block 2.weight alone": "no", "block 2.bias alone": "no", CONE: "yes",
    }  # fmt: skip
    assert "tanh" in rows[PRODUCTS].statement and "linear_1" in rows[ACTIVATIONS].statement
    assert "steps of 0.bias" in rows[CONE].statement and "order" in rows[CONE].statement
    assert "block 0.weight" in rows[ONE].reason


def test_only_the_activation_breaks_it(tmp_path: Path) -> None:
    """tanh(w x) with square loss: one layer, so that no two parameters are multiplied."""
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Tanh())
    rows = table(jensen.Cost(model, nn.MSELoss(), (X, T)), tmp_path)
    assert (rows[PRODUCTS].enough, rows[ACTIVATIONS].enough) == ("no", "yes")
    assert rows[NETWORK].enough == "yes" and rows["block 0.weight alone"].enough == "yes"
    assert "no products of parameters" in rows[PRODUCTS].reason


class Paid(nn.Module):
    """Hidden units with fixed weights to the output, none negative."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 4)
        self.register_buffer("out", torch.rand(4, 1, generator=torch.Generator().manual_seed(3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.hidden(x)) @ self.out


def test_relu_with_outgoing_weights_that_are_not_negative(tmp_path: Path) -> None:
    """The mean of the output is convex: nothing breaks it, and it is proved in every row."""
    rows = enough(table(jensen.Cost(Paid(), lambda out, y: out.mean(), (X, Y)), tmp_path))
    assert rows.pop(CONE) == "unknown"
    assert set(rows.values()) == {"no"}


def test_a_loss_that_is_not_convex_itself(tmp_path: Path) -> None:
    """1 - exp(-r^2) of a linear model: the loss alone breaks it, and is linearised beside the network's mechanisms."""
    cost = jensen.Cost(nn.Linear(3, 2), lambda out, y: (1 - torch.exp(-((out - y) ** 2))).mean(), (X, T))
    rows = table(cost, tmp_path)
    assert (rows[LOSS].enough, rows[NETWORK].enough, rows[PRODUCTS].enough) == ("yes", "no", "no")
    assert "and the loss" in rows[PRODUCTS].statement


@pytest.mark.parametrize("chunks", [1, 2])
def test_only_the_penalty_breaks_it(tmp_path: Path, chunks: int) -> None:
    """sum w^2 / (1 + w^2) bounds the price of a weight, and is not convex."""
    data = (X, T) if chunks == 1 else [(X[:4], T[:4]), (X[4:], T[4:])]
    penalty = lambda b: (b["weight"] ** 2 / (1 + b["weight"] ** 2)).sum()  # noqa: E731
    rows = table(jensen.Cost(nn.Linear(3, 2), nn.MSELoss(), data, penalty=penalty), tmp_path)
    assert (rows[DROPPED].enough, rows[PENALTY].enough) == ("no", "yes")
    others = {n: e for n, e in enough(rows).items() if n not in (PENALTY, CONE)}
    assert set(others.values()) == {"no"}
    assert all("penalty dropped" in rows[n].statement for n in others)


def test_a_penalty_that_is_convex(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 2, bias=False))
    penalty = lambda b: 0.1 * sum(w.square().sum() for w in b.values())  # noqa: E731
    rows = table(jensen.Cost(model, nn.MSELoss(), (X, T), penalty=penalty), tmp_path)
    assert (rows[DROPPED].enough, rows[PENALTY].enough, rows[PRODUCTS].enough) == ("yes", "no", "yes")


def test_normalisation_has_a_row_where_there_is_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    rows = table(jensen.Cost(model, nn.CrossEntropyLoss(), (X, Y)), tmp_path)
    assert rows[NORMS].enough == "yes" and rows[ACTIVATIONS].enough == "no" and rows[PRODUCTS].enough == "yes"


def test_radial_basis_functions_in_one_cone(tmp_path: Path) -> None:
    def bumps(centre: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
        return ((torch.exp(-((X[:, None] - centre) ** 2).sum(-1)) @ height - T[:, 0]) ** 2).mean()

    rows = table(jensen.Cost.of(bumps, centre=normal(4, 3, seed=4), height=normal(4, seed=5)), tmp_path)
    assert rows[CONE].enough == "yes" and rows["block height alone"].enough == "no"


def test_data_in_chunks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2))
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), [(X[:4], Y[:4]), (X[4:7], Y[4:7]), (X[7:], Y[7:])])
    rows = table(cost, tmp_path)
    assert (rows[PRODUCTS].enough, rows[LOSS].enough, rows[CONE].enough) == ("yes", "no", "yes")
    assert len(rows[PRODUCTS].finding.certificate.problem.terms) == 3


def test_streamed_data_is_read_chunk_by_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "IN_MEMORY", 0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    data = [(X[:4], Y[:4]), (X[4:7], Y[4:7]), (X[7:], Y[7:])]
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), data, penalty=lambda b: b["0.weight"].square().sum())
    assert cost.streamed
    rows = table(cost, tmp_path)
    assert (rows[PRODUCTS].enough, rows[LOSS].enough, rows[CONE].enough) == ("yes", "no", "yes")
    for row in (rows[PRODUCTS], rows["block 0.weight alone"], rows[CONE]):
        terms = row.finding.certificate.problem.terms
        assert all(streamed(Problem((t,), {})) for t in terms) and terms[0].data


def test_more_constants_than_a_certificate_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "EMBED_LIMIT", 100)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    rows = table(jensen.Cost(model, nn.CrossEntropyLoss(), (X, Y)), tmp_path)
    assert rows[PRODUCTS].enough == "unknown" and "fewer data points" in rows[PRODUCTS].reason
    assert rows["block 0.weight alone"].enough == "yes"


def test_blocks_that_are_left_out_are_named(tmp_path: Path) -> None:
    """Four sines: none is convex, and only the first and the last are tried."""
    cost = jensen.Cost.of(lambda **b: sum(torch.sin(v) for v in b.values()), x=0.5, y=0.5, z=0.5, u=0.5)
    rows = table(cost, tmp_path)
    assert rows[ONE].enough == "yes" and "y and z" in rows[ONE].reason
    assert [n for n in rows if n.startswith("block")] == ["block x alone", "block u alone"]


def test_only_the_asked_blocks_vary(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    rows = table(jensen.Cost(model, nn.CrossEntropyLoss(), (X, Y)), tmp_path, of="2.*")
    assert rows.pop(CONE).reason.startswith("not applicable")
    assert {m.enough for m in rows.values()} == {"no"}
    assert "for every value of the other blocks" in rows[PRODUCTS].statement


def test_without_time_proofs_are_still_tried(tmp_path: Path) -> None:
    rows = table(jensen.Cost.of(lambda x, y: x * y, x=1.0, y=2.0), tmp_path, budget=0.0)
    assert rows[PRODUCTS].enough == "unknown" and "budget" in rows[PRODUCTS].reason
    assert rows["block x alone"].enough == "no"


def test_plain_data() -> None:
    (row, *_) = mechanisms(jensen.Cost.of(lambda x, y: x * y, x=1.0, y=2.0))
    data = row.to_dict()
    assert data["enough"] == "yes" and data["verdict"] == "REFUTED" and data["finding"]["evidence"]["method"] == "chord"


def test_misuse() -> None:
    cost = jensen.Cost.of(lambda x: x.log().sum(), x=torch.ones(2))
    with pytest.raises(Misuse, match="not a jensen"):
        mechanisms(3)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="not finite at the point"):
        mechanisms(cost, at={"x": torch.zeros(2)})
    with pytest.raises(Misuse, match="no block"):
        mechanisms(cost, of="nothing")
    with pytest.raises(Misuse, match="shape"):
        mechanisms(cost, at={"x": torch.ones(3)})
    with pytest.raises(Misuse, match="budget"):
        mechanisms(cost, budget=-1.0)
