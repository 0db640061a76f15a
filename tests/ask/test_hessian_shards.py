"""Two processes hold the data together: their products are those of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import jensen

sys.path.insert(0, str(Path(__file__).parent))

from shard_worker import PIECES, kinds, make, resumed, rounded, subset, vectors


def near(a, b):
    return float((a - b).norm()) <= 1e-12 * float(b.norm())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of two processes wrote."""
    folder = tmp_path_factory.mktemp("shards")
    worker = Path(__file__).with_name("shard_worker.py")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    runs = [subprocess.Popen([sys.executable, str(worker), str(rank), "2", str(folder)], env=env) for rank in range(2)]
    assert [r.wait(timeout=300) for r in runs] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_agree_with_one(found):
    for name, kind, reduction in (("replicated", "replicated", "mean"), ("own", "own", "mean"), ("sum", "own", "sum")):
        one = jensen.hessian(make(PIECES, reduction))
        for out in found:
            value, gradient, products, shard = out[name]
            assert abs(value - one.value) <= 1e-13 * abs(one.value) and shard == f"{kind}, 2 processes"
            assert near(gradient, one.gradient) and near(products, one @ vectors(one.n))
    for out in found:
        assert "say shard=" in out["same sum"] and "not replicated" in out["unlike"]
        assert "parameters differ" in out["parameters"]
        assert "'nothing.*'" in out["alone"]
        assert "different questions" in out["blocks"]
    assert found[0]["alone"].startswith("in process 1: ")


def test_processes_that_round_otherwise_stay_together(found):
    """What follows a product is computed by each process; where it is used again, the first one's is taken."""
    products, value = rounded(0)
    for out in found:
        assert near(out["rounded"][0], products) and out["rounded"][1] == pytest.approx(value, rel=1e-13)
    assert torch.equal(found[0]["rounded"][0], found[1]["rounded"][0])


def test_the_first_process_keeps_a_solve_for_all(found, tmp_path):
    one = resumed(0, str(tmp_path))
    for out in found:
        assert out["resumed"] == pytest.approx(one, rel=1e-9)


def test_a_loss_that_may_not_be_cut_between_processes_is_told_once(found):
    for out in found:
        assert len(out["told"]) == 1 and "class weights" in out["told"][0]


def test_points_are_classified_by_all_the_data(found):
    """Kinks, falls and ways to infinity are looked for in J of all processes, not of the data at hand."""
    one = kinds(PIECES)
    assert [kind for kind, _, _ in one.values()] == [
        "minimum",
        "minimum",
        "saddle",
        "minimum",
        "minimum",
        "at infinity",
    ]
    for out in found:
        for name in ("kinds", "kinds replicated"):
            for point, (kind, index, value) in one.items():
                assert out[name][point] == (kind, index, pytest.approx(value, rel=1e-12))


def test_a_subset_is_of_all_the_data(found):
    one = subset(PIECES)
    for out in found:
        assert out["subset"] == pytest.approx(one, rel=1e-9) and out["subset replicated"] == pytest.approx(
            one, rel=1e-9
        )
    assert found[0]["subset"] == found[1]["subset"]
