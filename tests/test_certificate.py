"""Certificates: what is written is read, and says the same."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

import jensen
from jensen import certificate
from jensen.atoms import registry
from jensen.certificate import Certificate
from jensen.kernel.check import Claim, check
from jensen.kernel.claims.chord import Chord
from jensen.kernel.program import Node, Problem, Program, Ref, Term


def program(*nodes):
    return Program(
        tuple(Node(f"n{i}", op, tuple(args), "layer") for i, (op, *args) in enumerate(nodes)), len(nodes) - 1
    )


def one(*nodes, blocks=None, **tensors):
    return Problem((Term(program(*nodes), tensors),), blocks or {"x": ()})


X, Y = ("block", "x"), ("block", "y")
MUL, POW, SUM = "aten.mul.Tensor", "aten.pow.Tensor_Scalar", "aten.sum.dim_IntList"
XY = {"x": (), "y": ()}


def by_rules():
    p = one(("block", "w"), ("const", "c"), (MUL, Ref(0), Ref(1)), (POW, Ref(2), 2), (SUM, Ref(3), (0, 1), False),
            blocks={"w": (2, 3)}, c=np.array([[0.1, -0.0, 5e-324], [1e308, 3.0, 1 / 3]]))  # fmt: skip
    return Certificate(p, Claim("convex", ("w",), {}), {"method": "rules"})


def by_quadratic():
    p = one(X, Y, ("aten.sub.Tensor", Ref(0), Ref(1)), (POW, Ref(2), 2), (MUL, Ref(0), Ref(1)), (MUL, Ref(4), 0.5),
            ("aten.add.Tensor", Ref(3), Ref(5)), blocks=XY)  # fmt: skip
    return Certificate(p, Claim("convex", ("x", "y"), {}), {"method": "quadratic"})


def by_box():
    within = {"x": (np.array(-0.5), np.array(0.5)), "y": (np.array(-0.5), np.array(0.5))}
    p = one(X, Y, (MUL, Ref(0), Ref(1)), (POW, Ref(0), 2), (POW, Ref(1), 2), ("aten.add.Tensor", Ref(3), Ref(4)),
            ("aten.add.Tensor", Ref(5), Ref(2)), blocks=XY)  # fmt: skip
    return Certificate(p, Claim("convex", ("x", "y"), within), {"method": "box"})


def by_chord():
    a, b = {"x": np.array(1.0)}, {"x": np.array(-1 / 3)}
    p = one(X, Y, (POW, Ref(0), 2), (MUL, Ref(2), Ref(1)), blocks=XY)
    return Certificate(p, Claim("not convex", ("x",), {}), Chord(a, b, {"y": np.array(-1e-300)}, Fraction(1, 3)))


def of_chunks():
    f = program(X, ("const", "c"), ("aten.sub.Tensor", Ref(0), Ref(1)), (POW, Ref(2), 2), ("aten.mean.dim", Ref(3)))
    terms = tuple(Term(f, {"c": np.arange(3.0) + k}, Fraction(k + 1, 7)) for k in range(3))
    return Certificate(Problem((*terms, Term(f, {"c": np.arange(2.0)}, Fraction(1, 7))), {"x": ()}),
                       Claim("convex", ("x",), {"x": (np.array(-np.inf), np.array(2.0))}, True),
                       {"method": "rules"})  # fmt: skip


def of_indices():
    p = one(("block", "x"), ("const", "i"), ("aten.gather.default", Ref(0), 0, Ref(1)), (SUM, Ref(2)), ("const", "b"),
            ("aten.where.self", Ref(4), Ref(3), 0.0), blocks={"x": (3,)}, i=np.array([2, 0]),
             b=np.array(True))  # fmt: skip
    return Certificate(p, Claim("affine", ("x",), {}), {"method": "rules"})


ALL = [by_rules, by_quadratic, by_box, by_chord, of_chunks, of_indices]


@pytest.mark.parametrize("make", ALL)
def test_round_trip(make, tmp_path):
    before, file = make(), tmp_path / "x.jensen"
    certificate.write(before, file)
    after = certificate.read(file)
    assert after.problem.blocks == before.problem.blocks
    for t, u in zip(before.problem.terms, after.problem.terms, strict=True):
        assert t.program == u.program
        assert t.weight == u.weight
        assert {n: (v.dtype, v.shape, v.tobytes()) for n, v in t.tensors.items()} == {
            n: (v.dtype, v.shape, v.tobytes()) for n, v in u.tensors.items()
        }
    said = check(before.problem, before.claim, before.evidence, registry())
    assert certificate.verify(file).statement == said.statement
    assert (after.claim.kind, after.claim.blocks, after.claim.ideal) == (said.kind, said.blocks, said.ideal)


def test_chunks_share_one_program(tmp_path):
    certificate.write(of_chunks(), tmp_path / "x.jensen")
    terms = certificate.read(tmp_path / "x.jensen").problem.terms
    assert len({id(t.program) for t in terms}) == 1


def test_two_writes_are_the_same_bytes(tmp_path):
    for name in "ab":
        certificate.write(by_rules(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_numbers_keep_their_types(tmp_path):
    p = one(X, (MUL, Ref(0), -0.0), (POW, Ref(1), 2), ("aten.add.Tensor", Ref(2), 2.0))
    certificate.write(Certificate(p, Claim("convex", ("x",), {}), {"method": "rules"}), tmp_path / "x")
    nodes = certificate.read(tmp_path / "x").problem.terms[0].program.nodes
    assert [repr(nodes[i].args[1]) for i in (1, 2, 3)] == ["-0.0", "2", "2.0"]


def test_verifying_needs_no_torch(tmp_path):
    certificate.write(by_chord(), tmp_path / "x.jensen")
    code = "import sys, jensen; c = jensen.verify(sys.argv[1]); print(c.kind, 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.jensen")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "not convex False"


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    file = tmp_path / "x.jensen"
    certificate.write(by_rules(), file)
    whole = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(certificate.zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        certificate.write(by_chord(), file)
    assert file.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [file]


def test_names_that_read_like_a_sentence_are_quoted(tmp_path):
    name = "a and b jointly, for every value of all blocks; this includes a"
    cost = jensen.Cost.of(lambda **p: (p[name] * p["b"]) ** 2, **{name: torch.tensor(0.5), "b": torch.tensor(0.3)})
    jensen.check(cost, of=name).save(tmp_path / "c.jensen")
    assert f"in {name!r}, for every value of the other block" in jensen.verify(tmp_path / "c.jensen").statement
