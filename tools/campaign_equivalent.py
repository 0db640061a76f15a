"""Are planted copies recovered, and changed networks told apart? 200 elements of the group for each architecture.

    python tools/campaign_equivalent.py [repetitions] [name of one architecture]

For each architecture prints how many of so many random elements of its group were recovered as EQUIVALENT, and the verdicts
after one random entry of the moved point was changed by 1e-3: INEQUIVALENT with an input on which the losses differ, EQUIVALENT
where the entry is absorbed (a bias before batch norm), UNKNOWN where the function does not depend on it at this point (the
weights of a unit that never switches). The claims: all planted copies EQUIVALENT; a changed one never EQUIVALENT while some
loss differs (the losses are compared once more here, on fresh random inputs). Ends with 1 where one of them fails.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import jensen
from ask.symmetry.cases import CASES
from equivalence_models import LARGE, SMALL, differ

STEP = 1e-3


def order(n: int) -> str:
    """A large integer in brief."""
    digits = len(str(n))
    return str(n) if digits < 7 else f"about 10^{digits - 1}"


def changed(b: dict[str, torch.Tensor], generator: torch.Generator) -> str:
    """Change one random entry; in which block."""
    sizes = torch.tensor([float(t.numel()) ** 0.5 for t in b.values()])
    name = [*b][int(torch.multinomial(sizes, 1, generator=generator))]
    k = int(torch.randint(b[name].numel(), (1,), generator=generator))
    b[name] = b[name].clone()
    b[name].view(-1)[k] += STEP
    return name


def campaign(name: str, build: Any, repeats: int) -> bool:
    """One architecture; whether all its claims hold."""
    torch.manual_seed(0)
    cost = build()
    begun = time.perf_counter()
    group = jensen.symmetries(cost)
    read_in = time.perf_counter() - begun
    generator = torch.Generator().manual_seed(7)
    a = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}
    planted: Counter[str] = Counter()
    after: Counter[str] = Counter()
    wrong, far, seconds = 0, 0.0, 0.0
    for k in range(repeats):
        b = group.sample(k).act(a)
        found = jensen.equivalent(cost, a, b, symmetries=group)
        planted[str(found.verdict)] += 1
        seconds += found.seconds
        far = max(far, found.evidence.get("distance", 0.0)) if found.move is not None else far
        block = changed(b, generator)
        told = jensen.equivalent(cost, a, b, symmetries=group)
        label = str(told.verdict) if told.verdict == "INEQUIVALENT" else f"{told.verdict} ({block})"
        after[label] += 1
        if told.verdict == "EQUIVALENT":
            wrong += differ(cost, a, b)
    good = planted["EQUIVALENT"] == repeats and not wrong
    print(
        f"{name}: group of order {order(group.order)}, dimension {group.dimension}, read in {read_in:.1f} s; planted "
        f"{dict(planted)}, farthest {far:.0e}, {seconds / repeats:.2f} s each; changed {dict(after)}"
        f"{'' if good else '   <-- FAILS'}",
        flush=True,
    )
    return good


if __name__ == "__main__":
    torch.set_num_threads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    models = {**{f"{c.name} (case)": c.build for c in CASES}, **SMALL, **LARGE}
    chosen = {n: models[n] for n in sys.argv[2:]} or models
    good = [campaign(name, build, count) for name, build in chosen.items()]
    sys.exit(not all(good))
