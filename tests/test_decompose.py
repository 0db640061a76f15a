"""Programs taken apart as torch takes them apart, but for the composite operations that it would override to no end."""

import pytest
import torch
from torch import nn
from torch.export import exported_program

import architectures
from jensen import Cost, Verdict, check, decompose
from jensen.kernel.program import Program
from jensen.trace import trace


def programs(cost: Cost) -> list[Program]:
    cost._programs.clear()
    return [term.program for term in trace(cost).problem.terms]


@pytest.mark.parametrize("name", architectures.ARCHITECTURES)
def test_programs_are_those_of_torchs_own_split(name, monkeypatch):
    cost = architectures.ARCHITECTURES[name]()
    short = programs(cost)
    monkeypatch.setattr(decompose, "SPLIT", "a name that torch does not have")
    assert programs(cost) == short


def test_few_operations_are_overridden(monkeypatch):
    seen = []
    own = exported_program._override_composite_implicit_decomp
    monkeypatch.setattr(
        exported_program, "_override_composite_implicit_decomp", lambda table: (seen.append(table), own(table))[1]
    )
    trace(Cost(nn.Linear(2, 1), nn.MSELoss(), (torch.ones(3, 2), torch.ones(3, 1))))
    assert torch.ops.aten.linear.default in seen[0]
    assert torch.ops.aten.einsum.default not in seen[0]  # decomposes as it always does


def test_torch_is_left_as_it_was():
    before = getattr(exported_program, decompose.SPLIT)
    trace(Cost(nn.Linear(2, 1), nn.MSELoss(), (torch.ones(3, 2), torch.ones(3, 1))))
    with pytest.raises(ZeroDivisionError), decompose._split_once(frozenset()):
        raise ZeroDivisionError
    assert getattr(exported_program, decompose.SPLIT) is before


def test_composite_operations_of_others_are_taken_apart():
    library = torch.library.Library("of_a_user", "DEF")
    library.define("doubled(Tensor x) -> Tensor")
    library.impl("doubled", lambda x: x + x, "CompositeImplicitAutograd")
    finding = check(Cost.of(lambda x: torch.ops.of_a_user.doubled(x.exp()), x=0.3))
    assert finding.verdict == Verdict.PROVED, finding.statement
