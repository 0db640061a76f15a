"""Costs whose minima are known, in closed form or from the literature on test functions: values and sizes of orbits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

import jensen
from jensen.gallery.student_teacher import student_teacher

F = torch.float64
PI = math.pi


@dataclass(frozen=True)
class Landscape:
    """A cost and what a census of it has to find.

    Attributes:
        make: The cost.
        runs, options: Of the census.
        minima: (value, copies) of every distinct minimum; copies None where the group is not known.
        others: Kinds that runs may end in besides, with the values they may have (None: any).
    """

    name: str
    make: Callable[[], jensen.Cost]
    runs: int
    options: Mapping[str, Any]
    minima: tuple[tuple[float, int | None], ...]
    others: Mapping[str, tuple[float, ...] | None] = field(default_factory=dict)


def wrong(case: Landscape, found: Any) -> list[str]:
    """What a census says that is not so."""
    out = []
    known = [v for v, _ in case.minima]
    ends = [e for e in found.ends if e.kind == "minimum"]
    for e in ends:
        match = [(v, n) for v, n in case.minima if math.isclose(e.value, v, rel_tol=2e-6, abs_tol=2e-7)]
        if not match:
            out.append(f"a minimum of value {e.value:.9g}, which is none of {known}")
        elif e.counted == "modulo symmetry" and all(n is not None and e.orbit not in (n, None) for _, n in match):
            out.append(f"the minimum {e.value:.9g} has {e.orbit} copies, not {match[0][1]}")
    if len(ends) != len(case.minima):
        out.append(f"{len(ends)} distinct minima, not {len(case.minima)}")
    for e in found.ends:
        if e.kind == "minimum":
            continue
        values = case.others.get(e.kind, ())
        if values is not None and not any(math.isclose(e.value, v, rel_tol=2e-6, abs_tol=2e-7) for v in values):
            out.append(f"{e.runs} ends of kind {e.kind} at {e.value:.9g}")
    return out


def of(f: Callable[[Tensor], Tensor], *shape: int) -> Callable[[], jensen.Cost]:
    n = math.prod(shape)
    return lambda: jensen.Cost.of(f, x=torch.sin(torch.arange(1.0, n + 1, dtype=F)).reshape(shape))


def box(half: float, **more: Any) -> dict[str, Any]:
    return {"init": "uniform", "scale": half, "steps": 0, **more}


NORMAL: dict[str, Any] = {"init": "normal", "steps": 300}
ANY: dict[str, Any] = {"at infinity": None}


def himmelblau(x: Tensor) -> Tensor:
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def camel(x: Tensor) -> Tensor:
    a, b = x[0], x[1]
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def goldstein(x: Tensor) -> Tensor:
    a, b = x[0], x[1]
    one = 1 + (a + b + 1) ** 2 * (19 - 14 * a + 3 * a * a - 14 * b + 6 * a * b + 3 * b * b)
    return one * (30 + (2 * a - 3 * b) ** 2 * (18 - 32 * a + 12 * a * a + 48 * b - 36 * a * b + 27 * b * b))


def freudenstein(x: Tensor) -> Tensor:
    a, b = x[0], x[1]
    return (a - 13 + ((5 - b) * b - 2) * b) ** 2 + (a - 29 + ((b + 1) * b - 14) * b) ** 2


def rings(x: Tensor) -> Tensor:
    """Oscillators on a ring: twisted states of winding number |q| < n/4 are its minima, -n cos(2 pi q / n)."""
    return -torch.cos(x - torch.roll(x, 1)).sum()


def together(x: Tensor) -> Tensor:
    return -torch.cos(x[:, None] - x[None]).sum()


def cluster(n: int, power: int) -> Callable[[Tensor], Tensor]:
    """Lennard-Jones atoms."""
    i, j = torch.triu_indices(n, n, 1)

    def energy(x: Tensor) -> Tensor:
        r = ((x[i] - x[j]) ** 2).sum(1)
        return 4 * (r ** (-2 * power) - r**-power).sum()

    return energy


def factors(*sizes: int) -> tuple[jensen.Cost, float]:
    """A deep linear network and its least value (Baldi and Hornik 1989, Kawaguchi 2016: every minimum is global)."""
    numbers = torch.Generator().manual_seed(3)
    x, y = (torch.randn(20, n, generator=numbers, dtype=F) for n in (sizes[0], sizes[-1]))
    model = nn.Sequential(*[nn.Linear(i, o, bias=False) for i, o in pairwise(sizes)])
    full = torch.linalg.lstsq(x, y).solution
    u, s, v = torch.linalg.svd(x @ full, full_matrices=False)
    r = min(sizes)
    return jensen.Cost(model, nn.MSELoss(), (x, y)), float(((u[:, :r] * s[:r] @ v[:r] - y) ** 2).mean())


def separable() -> jensen.Cost:
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0], [-1.0, -1.0], [-2.0, -0.5]], dtype=F)
    return jensen.Cost(nn.Linear(2, 1), nn.BCEWithLogitsLoss(), (x, torch.tensor([[1.0], [1.0], [0.0], [0.0]])))


def gram() -> jensen.Cost:
    b = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=F)
    return jensen.Cost.of(lambda U: ((b @ b.T - U @ U.T) ** 2).sum(), U=torch.ones(4, 2, dtype=F))


def phases() -> jensen.Cost:
    a = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=F)
    y = (a @ torch.tensor([1.0, -0.5, 2.0], dtype=F)) ** 2
    return of(lambda x: (((a @ x) ** 2 - y) ** 2).mean(), 3)()


def least_gram() -> float:
    b = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=F)
    return float((torch.linalg.eigvalsh(b @ b.T)[:2] ** 2).sum())


SHORT = (
    Landscape("Himmelblau", of(himmelblau, 2), 60, box(6.0), ((0.0, None),) * 4),
    Landscape(
        "Himmelblau, all critical points", of(himmelblau, 2), 150, box(6.0, polish="saddle"), ((0.0, None),) * 4,
        {"saddle": (13.3119264, 67.7191501, 104.0151556, 178.3372398), "maximum": (181.6165218,)},
    ),
    Landscape("six-hump camel", of(camel, 2), 80, box(3.0), ((-1.0316284535, 2), (-0.2154638244, 2), (2.1042503103, 2))),
    Landscape(
        "Styblinski-Tang", of(lambda x: (x**4 - 16 * x**2 + 5 * x).sum() / 2, 3), 60, box(5.0),
        tuple(((3 - k) * -39.16616570 + k * -25.02945103, (1, 3, 3, 1)[k]) for k in range(4)),
    ),
    Landscape("oscillators on a ring", of(rings, 7), 60, box(3.1), ((-7.0, 1), (-7 * math.cos(2 * PI / 7), 2))),
    Landscape(
        "orthogonal tensor", of(lambda x: 3 - 2 * (x**4).sum() + (x * x).sum() ** 4, 3), 20, NORMAL, ((2.0, 6),),
    ),
    Landscape("three atoms", of(cluster(3, 3), 3, 2), 12, NORMAL, ((-3.0, None),)),
    Landscape("separable classes", separable, 8, NORMAL, (), ANY),
)  # fmt: skip

LONG = (
    Landscape(
        "Rastrigin", of(lambda x: (10 + x**2 - 10 * torch.cos(2 * PI * x)).sum(), 2), 300, box(2.4),
        ((0.0, 1), (0.9949590571, 4), (1.9899181142, 4), (3.9798311899, 4), (4.9747902470, 8), (7.9596623798, 4)),
    ),
    Landscape("three-hump camel", of(lambda x: 2 * x[0] ** 2 - 1.05 * x[0] ** 4 + x[0] ** 6 / 6 + x[0] * x[1] + x[1] ** 2, 2),
              60, box(5.0), ((0.0, 1), (0.2986384385, 2))),
    Landscape("Rosenbrock in 4", of(rosenbrock, 4), 60, box(2.0), ((0.0, None), (3.7014286135, None))),
    Landscape("Rosenbrock in 6", of(rosenbrock, 6), 60, box(2.0), ((0.0, None), (3.9739405072, None))),
    Landscape("Goldstein-Price", of(goldstein, 2), 60, box(2.0), tuple((v, None) for v in (3.0, 30.0, 84.0, 840.0))),
    Landscape("Freudenstein-Roth", of(freudenstein, 2), 60, box(20.0), ((0.0, None), (48.984253679, None))),
    Landscape("oscillators, all with all", of(together, 4), 40, box(3.1), ((-16.0, 1),)),
    Landscape("oscillators on a wider ring", of(rings, 9), 200, box(12.0), ((-9.0, 1), (-9 * math.cos(2 * PI / 9), 2))),
    Landscape("seven atoms", of(cluster(7, 3), 7, 3), 100, NORMAL,
              tuple((v, None) for v in (-16.505384168, -15.935042898, -15.593210969, -15.533060054))),
    Landscape("bottleneck", lambda: factors(3, 2, 3, 2)[0], 20, NORMAL, ((factors(3, 2, 3, 2)[1], None),)),
    Landscape("four layers", lambda: factors(3, 2, 3, 2, 3)[0], 20, NORMAL, ((factors(3, 2, 3, 2, 3)[1], None),)),
    Landscape("Gram matrix", gram, 20, NORMAL, ((least_gram(), 2),)),
    Landscape("phase retrieval", phases, 40, NORMAL, ((0.0, 2),)),
    Landscape("exponential tail", of(lambda x: torch.exp(x[0]) + x[1] ** 2, 2), 12, NORMAL, (), ANY),
    Landscape("unbounded", of(lambda x: x[0] ** 3 - 3 * x[0] + x[1] ** 2, 2), 30, box(3.0), ((-2.0, 1),), ANY),
    Landscape("ring of minima", of(lambda x: (x @ x) ** 2 - 2 * x @ x, 3), 12, NORMAL, ((-1.0, 1),)),
    Landscape(
        "students and teachers", lambda: student_teacher(6), 200,
        {"optimiser": "gd", "step": 0.1, "steps": 4000, "init": "normal", "scale": 6**-0.5, "stop": 1e-4},
        ((0.0, 720), (0.0250805814, 4320)),
    ),
)  # fmt: skip
