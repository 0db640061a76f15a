"""blocks: maximal convex sets, minimal conflicts, and whether the list is complete."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import jensen
from jensen import Cost


def _deep(n: int, width: int = 4, act: type[nn.Module] | None = None) -> Cost:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(n):
        layers += [nn.Linear(width, width, bias=False), *([act()] if act else [])]
    x = torch.randn(6, width)
    return Cost(nn.Sequential(*layers), nn.MSELoss(), (x, torch.randn(6, width)))


def test_product() -> None:
    b = jensen.blocks(Cost.of(lambda x, y: x * y, x=1.0, y=2.0))
    assert b.maximal == (("x",), ("y",)) and b.complete and not b.unknown
    assert [c.blocks for c in b.conflicts] == [("x", "y")]
    assert b.conflicts[0].node == "mul"


def test_conflicts_need_not_be_pairs() -> None:
    matrix = torch.full((3, 3), -0.6, dtype=torch.float64) + 1.6 * torch.eye(3, dtype=torch.float64)

    def quadratic(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = torch.stack([a, b, c])
        return x @ matrix @ x

    b = jensen.blocks(Cost.of(quadratic, a=1.0, b=2.0, c=3.0))
    assert b.maximal == (("a", "b"), ("a", "c"), ("b", "c"))
    assert [c.blocks for c in b.conflicts] == [("a", "b", "c")] and b.complete


def test_deep_linear_network() -> None:
    b = jensen.blocks(_deep(4))
    names = [f"{i}.weight" for i in range(4)]
    assert b.maximal == tuple((n,) for n in names) and b.complete
    assert {c.blocks for c in b.conflicts} == {(p, q) for i, p in enumerate(names) for q in names[i + 1 :]}
    assert "multiplied in linear_1" in b.conflicts[0].why


def test_twenty_layers() -> None:
    b = jensen.blocks(_deep(20, act=nn.Tanh))
    assert b.maximal == () and len(b.conflicts) == 20 and b.complete  # tanh after every layer, so none is convex


def test_exponentially_many_sets_are_cut_at_64() -> None:
    names = [f"{side}{i}" for i in range(20) for side in "xy"]

    def pairs(**t: torch.Tensor) -> torch.Tensor:
        return sum(((t[f"x{i}"] * t[f"y{i}"]) ** 2 for i in range(20)), torch.zeros((), dtype=torch.float64))

    b = jensen.blocks(Cost.of(pairs, **dict.fromkeys(names, 1.0)))
    assert len(b.maximal) == 64 and not b.complete
    assert all(len(s) == 20 for s in b.maximal)
    assert {c.blocks for c in b.conflicts} >= {(f"x{i}", f"y{i}") for i in range(20)}


def test_plain_data() -> None:
    data = jensen.blocks(Cost.of(lambda x, y: x * y, x=1.0, y=2.0)).to_dict()
    assert list(data) == ["maximal", "conflicts", "unknown", "complete", "seconds"]
    assert set(data["conflicts"][0]) == {"blocks", "node", "module", "why"}


def test_undecided_sets_are_told() -> None:
    b = jensen.blocks(Cost.of(lambda x: torch.linalg.det(x.reshape(2, 2)), x=[1.0, 2.0, 3.0, 4.0]), budget=1.0)
    assert b.unknown == (("x",),) and not b.complete and not b.conflicts


def test_not_a_cost() -> None:
    with pytest.raises(jensen.Misuse):
        jensen.blocks(3)  # type: ignore[arg-type]
