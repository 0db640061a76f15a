"""Answers of every kind, made by hand, for tests of what shows them: the real classes where they are plain data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from jensen.ask.curvature.answers import Classification, Cumulative, Density, Eigenvalue, Estimate, Spectrum
from jensen.ask.curvature.look import FIELDS
from jensen.ask.curvature.trajectory import Trajectory
from jensen.ask.equivalence.answer import Equivalence, Sameness
from jensen.ask.equivalence.probe import Witness
from jensen.ask.minima import summing
from jensen.ask.minima.answers import Minima
from jensen.ask.minima.counting import Group
from jensen.ask.minima.end import End
from jensen.ask.minima.spec import Spec
from jensen.ask.minima.units import Ended
from jensen.ask.paths.answers import Alignment, Barrier, Barriers, Connection
from jensen.ask.symmetry.group import Move
from jensen.finding import Finding, Step, Verdict

OPS = {
    "linear": "linear.default",
    "tanh": "tanh.default",
    "add": "add.Tensor",
    "cross_entropy": "cross_entropy_loss.default",
}
EVIL = "<script>window.evil = 1</script>"


@dataclass(frozen=True)
class FakeConflict:
    blocks: tuple[str, ...]
    node: str
    module: str
    why: str


@dataclass(frozen=True)
class FakeBlocks:
    maximal: tuple[tuple[str, ...], ...]
    conflicts: tuple[FakeConflict, ...]
    unknown: tuple[tuple[str, ...], ...]
    complete: bool = True
    seconds: float = 0.1


def steps_of(name: str = "w") -> tuple[Step, ...]:
    return (
        Step(name, "block", "", (), "affine"),
        Step("data", "const", "", (), "constant"),
        Step("linear", "aten.linear.default", "net.0", (1, 0), "affine"),
        Step("tanh", "aten.tanh.default", "net.1", (2,), "of unknown curvature", True),
        Step("add", "aten.add.Tensor", "net", (3, 2), "of unknown curvature"),
        Step("cross_entropy", "aten.cross_entropy_loss.default", "", (4, 1), "of unknown curvature"),
    )


def refuted(name: str = "w", backwards: bool = False, **changes: Any) -> Finding:
    ts = [i / 20 for i in range(21)]
    values = [1.0 + 0.5 * t + math.sin(math.pi * t) for t in ts]
    line = {"t": ts, "J": values[::-1] if backwards else values}
    evidence = {"method": "chord", "a": 1.0, "m": 2.25, "b": 1.5, "t": "1/2", "violation": 1.0, "line": line}
    fields: dict[str, Any] = {"reason": f"tanh of {name} loses it", "steps": steps_of(name), **changes}
    return Finding(
        Verdict.REFUTED, f"J is not convex in {name}", claim="convex", blocks=(name,), evidence=evidence, seconds=0.5,
        **fields,
    )  # fmt: skip


def proved(name: str = "w") -> Finding:
    return Finding(
        Verdict.PROVED, f"J is convex in {name}", "by the rules", "convex", (name,), {"method": "rules"}, 0.2
    )


def long_program(layers: int = 14, each: int = 45) -> tuple[Step, ...]:
    steps = [Step("x", "const", "", (), "constant")]
    for k in range(layers):
        for i in range(each):
            last = len(steps) - 1
            lost = (k, i) == (9, 3)
            inputs = (last, last - 20) if i == 25 else (last,)
            steps.append(Step(f"op_{k}_{i}", "aten.op", f"h.{k}.part{i // 9}", inputs, "convex", lost))
    return tuple(steps)


@dataclass(frozen=True)
class Shared:
    """A row of shares, grouped as the ledger groups them."""

    shares: tuple[Any, ...]
    more: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("more", {}):
            return self.more[name]
        raise AttributeError(name)

    def grouped(self, by: str) -> dict[str, float]:
        sums: dict[str, float] = {}
        for s in self.shares:
            sums[getattr(s, by)] = sums.get(getattr(s, by), 0.0) + s.share
        return sums


def share(node: str, module: str, mechanism: str, value: float) -> Any:
    return SimpleNamespace(
        node=node, module=module, mechanism=mechanism, share=value, operation=f"aten.{OPS.get(node, node)}"
    )


def shares_of(name: str = "net") -> tuple[Any, ...]:
    return (
        share("linear", f"{name}.0", "product of parameters", -0.31),
        share("tanh", f"{name}.1", "activation", -0.62),
        share("add", name, "product of parameters", 0.02),
        share("cross_entropy", "", "loss", 0.41),
    )


def why_of(name: str = "net", shares: tuple[Any, ...] | None = None, **changes: Any) -> Any:
    shares = shares_of(name) if shares is None else shares
    total = sum(s.share for s in shares)
    mechanisms = (
        SimpleNamespace(
            name=f"products of {name}",
            enough="yes",
            verdict=Verdict.REFUTED,
            statement="With the others linearised: J is not convex",
            finding=refuted(),
        ),
        SimpleNamespace(name="one block", enough="no", verdict=Verdict.PROVED, statement="convex", finding=proved()),
        SimpleNamespace(name="loss", enough="unknown", verdict=Verdict.UNKNOWN, statement="not decided", finding=None),
    )
    fields = {
        "direction": {name: None},
        "curvature": total,
        "mechanisms": mechanisms,
        "loss_part": 0.41,
        "network_part": total - 0.41,
        "penalty_part": 0.0,
        "defect": 3e-16,
        "source": "counterexample",
        "finite": Shared(shares, {"violation": total, "defect": 0.0}),
        "eigenspace": Shared(shares, {"values": (-0.5, -0.4), "residuals": (1e-6, 1e-5)}),
        "ledgers": (
            SimpleNamespace(source="given", curvature=total, loss_part=0.1, network_part=-0.2, penalty_part=0.0),
            SimpleNamespace(source=name, curvature=0.1, loss_part=None, network_part=None, penalty_part=0.0),
        ),
        "seconds": 0.4,
        "notes": (f"a note on {name}",),
        **changes,
    }
    return Shared(shares, fields)


def remedies_of(name: str = "w", count: int = 2) -> Any:
    remedies = tuple(
        SimpleNamespace(
            kind="freeze",
            change=f"freeze {name}{k}",
            price=f"{k + 1} of 6 blocks fixed",
            size=k + 1,
            blocks=(name, "v"),
            options={"of": f"{name}*", "within": {name: (0, None)}, "ideal": True},
            how=f'cost = cost.restrict("{name}")\njensen.check(cost)',
            finding=proved(name),
        )
        for k in range(count)
    )
    said = f"{count} changes make it convex" if count else f"none found among freezing {name}"
    return SimpleNamespace(
        remedies=remedies, tried=(SimpleNamespace(kind=f"freeze {name}", found=count, why="" if count else "too big"),),
        verdict=Verdict.REFUTED, statement=said, seconds=1.2,
        reformulations=(SimpleNamespace(name="gated ReLU", theorem=f"Mishkin et al. {name}", applies="two layers", price="exact", finding=None),),
    )  # fmt: skip


def ends_of(*pairs: tuple[float, float]) -> tuple[Eigenvalue, ...]:
    return tuple(Eigenvalue(value, bound) for value, bound in pairs)


def density_of(grid: Any, y: Any, width: float) -> Density:
    grid, y = np.asarray(grid), np.asarray(y)
    share = Cumulative(grid, np.cumsum(y), np.cumsum(y), np.cumsum(y))
    return Density(grid, y, 0.7 * y, 1.4 * y, width, 10, 40, True, share)


def spectrum_of(negative: bool = True, **changes: Any) -> Spectrum:
    grid = np.array([-1.5 + 0.02 * k for k in range(500)])
    bumps = [(0.0, 0.9, 0.1), (-0.8, 0.03, 0.2), (6.0, 0.001, 0.1)] if negative else [(4.0, 1.0, 0.5)]
    y = np.array([sum(a / s * math.exp(-(((g - m) / s) ** 2) / 2) for m, a, s in bumps) for g in grid])
    lowest = -1.2 if negative else 2.2
    whole = Spectrum(
        ends_of((lowest, 0.05), (lowest + 0.2, 0.1)), ends_of((6.3, 1e-6), (5.1, 1e-3)), density_of(grid, y, 0.05),
        Estimate(12.0, 0.5, 11.0, 13.0), 120, 2.0, Estimate(80.0, 3.0, 74.0, 86.0), Estimate(0.07, 0.01, 0.05, 0.09),
        Estimate(0.4, 0.05, 0.3, 0.5), 0.006, None, 60, 6.3, 1e-3, 1e-3, {"lowest": True, "highest": True, "density": True},
        "thick-restart block Lanczos",
    )  # fmt: skip
    return replace(whole, **changes)


NOTHING = {"density": None, "trace": None, "squared_norm": None, "negative": None, "zero": None}


def classification_of(kind: str = "saddle", words: str = "a saddle of index 3") -> Classification:
    evidence = {"method": "LDL'", "tau": 1e-8, "counts": [3, 2, 5]}
    return Classification(kind, 3, 1e-9, 2, evidence, f"The point is {words}", "inertia of H ± tau", "", 0.3)


def trajectory_of(count: int = 12) -> Trajectory:
    return Trajectory(
        tuple(
            {
                **FIELDS,
                "step": 10 * k,
                "skipped": 0,
                "J": 2.3 * 0.8**k,
                "gradient_norm": 1.0 / (k + 1),
                "lowest": [{"value": -1.0 / (k + 1), "bound": 0.01}],
                "highest": [{"value": 3.0 + k, "bound": 0.1}],
                "index": 8 - k // 2,
                "loss_part": 0.2,
                "network_part": -0.6 / (k + 1),
            }
            for k in range(count)
        )
    )


def minima_of(words: str = "modulo 2!·2^2", widths: tuple[Any, ...] = (2, 5), runs: int = 30) -> Minima:
    """A census made of ends written by hand: two minima, a saddle, a run to infinity, a failure."""
    rows = (("minimum", 0.25, 0), ("minimum", 0.5, 0), ("saddle", 1.0, 1), ("at infinity", 0.125, 0), ("not converged", math.nan, 0))  # fmt: skip
    found = []
    for width in widths:
        ends = []
        for k in range(runs):
            kind, value, index = rows[min(k % 7, 4) if k % 7 else 0]
            told = End(k, kind, "strict" if kind == "minimum" else "", value, 1e-15, 1e-14, index, 0, 50, value, 40 + k,
                       {"w": torch.tensor([float(value), 1.0])})  # fmt: skip
            ends.append(Ended(told, value + 0.01 * math.sin(k), value + 0.1 * math.cos(k)))
        one: Any = SimpleNamespace(subject=SimpleNamespace(width=width), start=2.0)
        group = Group(words, True, 0, lambda a, b, near: False, lambda theta, near: 8)
        found.append(summing.width(one, ends, group, None, None))
    return summing.census(found, Spec(), 12.5, 10)


WAY = ((0.0, 0.1), (0.5, 1.1), (1.0, 0.3))
POINTS = ({"w": torch.zeros(2)}, {"w": torch.ones(2)}, {"w": torch.full((2,), 2.0)})


def alignment_of(words: str = "weights") -> Alignment:
    return Alignment(
        {"w": torch.zeros(2)}, {}, Move(()), words, 0.9, 0.1, 3.0, 2.0, {"none": 0.9, "weights": 0.1}, f"found by {words}", 0.2
    )  # fmt: skip


def barrier_of(words: str = "net", **changes: Any) -> Barrier:
    found = Barrier(
        0.9, 0.5, WAY, 0.8, (0.1, 0.3), 1e-7, 1e-6, True, True, "interpolated", f"J rises between {words}", 0.1, WAY,
        alignment_of(),
    )  # fmt: skip
    return replace(found, **changes)


def barriers_of(words: str = "net") -> Barriers:
    heights = np.array([[0.0, 0.5], [0.5, 0.0]])
    return Barriers(heights, heights + 1, ((0, 1),), heights + 1, f"2 points of {words}", 0.3)


def connection_of(words: str = "net") -> Connection:
    return Connection(
        0.2, 0.5, WAY, 0.5, 1.1, (0.1, 0.3), "bezier", POINTS, 1e-7, 1e-6, True, 120, "interpolated", f"a curve in {words}",
        0.4, WAY,
    )  # fmt: skip


def equivalence_of(words: str = "net", verdict: str = "EQUIVALENT") -> Equivalence:
    same = verdict == "EQUIVALENT"
    witness = None if same else Witness(torch.zeros(1, 2), torch.zeros(1), (0.5, 0.6), None, 1e-12)
    return Equivalence(
        Sameness(verdict),
        Move(()) if same else None,
        f"{words} says so",
        f"because {words}",
        witness,
        {"tried": 19},
        0.1,
    )


def everything(name: str = "net") -> list[Any]:
    blocks = FakeBlocks(((name, "v"), ("u",)), (FakeConflict(("v",), "tanh", name, f"because {name}"),), ((name,),))
    return [
        refuted(name), blocks, why_of(name), remedies_of(name), spectrum_of(), classification_of(words=name),
        trajectory_of(), minima_of(f"modulo {name}"), equivalence_of(name), barrier_of(name), barriers_of(name),
        alignment_of(name), connection_of(name),
    ]  # fmt: skip
