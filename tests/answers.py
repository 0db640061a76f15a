"""Answers of every kind, made by hand, for tests of what shows them. Their fields are those of the real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

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


def spectrum_of(negative: bool = True) -> Any:
    width, grid = 0.05, [-1.5 + 0.02 * k for k in range(500)]
    bumps = [(0.0, 0.9, 0.1), (-0.8, 0.03, 0.2), (6.0, 0.001, 0.1)] if negative else [(4.0, 1.0, 0.5)]
    y = [sum(a / s * math.exp(-(((g - m) / s) ** 2) / 2) for m, a, s in bumps) for g in grid]
    lowest = -1.2 if negative else 2.2
    return SimpleNamespace(
        lowest=[{"value": lowest, "bound": 0.05}, {"value": lowest + 0.2, "bound": 0.1}],
        highest=[{"value": 6.3, "bound": 1e-6}, {"value": 5.1, "bound": 1e-3}],
        density={"grid": grid, "density": y, "low": [0.7 * v for v in y], "high": [1.4 * v for v in y], "width": width},
        trace={"value": 12.0, "error": 0.5},
        squared_norm={"value": 80.0, "error": 3.0},
        negative={"value": 0.07, "low": 0.05, "high": 0.09},
        zero={"value": 0.4, "low": 0.3, "high": 0.5},
        products=120,
        seconds=2.0,
    )


def classification_of(kind: str = "saddle", words: str = "a saddle of index 3") -> Any:
    return SimpleNamespace(
        kind=kind, index=3, gradient_norm=1e-9, zero_modes=2, evidence={"method": "LDL'", "tau": 1e-8, "counts": [3, 2, 5]},
        statement=f"The point is {words}", reason="inertia of H ± tau", settle="", seconds=0.3,
    )  # fmt: skip


def trajectory_of(count: int = 12) -> Any:
    return SimpleNamespace(
        records=tuple(
            {
                "step": 10 * k,
                "cost": 2.3 * 0.8**k,
                "gradient_norm": 1.0 / (k + 1),
                "lowest": {"value": -1.0 / (k + 1), "bound": 0.01},
                "highest": {"value": 3.0 + k, "bound": 0.1},
                "index": 8 - k // 2,
                "loss_part": 0.2,
                "network_part": -0.6 / (k + 1),
            }
            for k in range(count)
        )
    )


def everything(name: str = "net") -> list[Any]:
    blocks = FakeBlocks(((name, "v"), ("u",)), (FakeConflict(("v",), "tanh", name, f"because {name}"),), ((name,),))
    return [
        refuted(name), blocks, why_of(name), remedies_of(name), spectrum_of(), classification_of(words=name),
        trajectory_of(),
    ]  # fmt: skip
