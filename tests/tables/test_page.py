"""The committed page of operations is the one that jensen generates, and it misses no activation or loss."""

from __future__ import annotations

from pathlib import Path

from torch.nn.modules import activation, loss

from jensen.tables import page
from jensen.tables.cases import ACTIVATIONS, LOSSES, NOT_CAPTURED

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
OLD = {"NLLLoss2d"}  # a deprecated name of NLLLoss


def test_every_activation_and_loss_is_there():
    there = {c.name for c in (*ACTIVATIONS, *LOSSES)} | set(NOT_CAPTURED) | OLD
    assert set(activation.__all__) <= there
    assert set(loss.__all__) <= there


def test_the_committed_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page()
