"""False claims and damaged certificates: every one is refused, with a reason, and in no other way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import refuse_build
import refuse_claims
import refuse_closer
import refuse_data
import refuse_files
import refuse_moves
import refuse_parts
import refuse_rules

from jensen import certificate
from jensen.kernel.errors import Rejected

CORPUS = (refuse_claims, refuse_closer, refuse_rules, refuse_files, refuse_parts, refuse_data, refuse_moves)
CASES = [pytest.param(run, why, id=name) for m in CORPUS for name, run, why in m.CASES]


def test_names_are_unique():
    for m in CORPUS:
        names = [name for name, _, _ in m.CASES]
        assert len(set(names)) == len(names)


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("run", "why"), CASES)
def test_refused(run, why):
    with pytest.raises(Rejected) as found:
        run()
    e = found.value
    assert why in str(e)
    assert e.node
    assert e.rule
    assert e.why
    assert len(str(e)) < 2000


@pytest.mark.parametrize(("name", "run", "kinds", "why"), refuse_files.OTHERS)
def test_other_refusals(name, run, kinds, why):
    with pytest.raises(kinds, match=why):
        run()


@pytest.mark.parametrize(
    "source", [refuse_build.proved, refuse_build.refuted, refuse_build.boxed, refuse_moves.written]
)
def test_fuzz(source):
    refused, same = refuse_files.fuzz(source, 100, 1906)
    assert refused > same


def test_links_are_followed(tmp_path):
    there = tmp_path / "link.jensen"
    there.symlink_to(refuse_build.proved())
    assert certificate.verify(there).kind == "convex"


def test_the_honest_ones_are_accepted():
    assert certificate.verify(refuse_build.proved()).statement == "J is convex in x"
    assert certificate.verify(refuse_build.refuted()).kind == "not convex"
    assert refuse_data.accepted(refuse_data.referring(), refuse_data.cost()).statement == "J is convex in x"
    assert refuse_data.accepted(refuse_data.refuted(), refuse_data.cost()).kind == "not concave"
    assert "the 2 units of x are permuted" in certificate.verify(refuse_moves.written()).statement
    assert "(in coordinates that take the fixed statistics before x and y" in refuse_moves.norm()().statement
    assert "x in [0, 1]" in certificate.verify(refuse_build.boxed()).statement
