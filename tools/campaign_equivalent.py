"""Are planted copies recovered, and changed networks told apart? 200 elements of the group for each architecture.

    python tools/campaign_equivalent.py [repetitions] [name of one architecture] ...

For each architecture plants random elements of its group in a point, every fourth with scales up to a thousand, and counts the
verdicts: of the copy, of a copy by ordinary scales with one random entry changed by 1e-3, and of the copy with an absorbed block (a key bias, a
bias before batch norm) changed. The claims: all copies are EQUIVALENT, absorbed changes too; a changed one is never EQUIVALENT
while some loss differs, and INEQUIVALENT where one does (the losses are compared once more here, on fresh random inputs); what
no loss tells may be UNKNOWN. Architectures are spread over the processors. Ends with 1 where a claim fails.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import jensen
from ask.symmetry.branches import TREES
from ask.symmetry.cases import CASES
from ask.symmetry.parallel import PARALLEL, ROTARY
from ask.symmetry.redundant import REDUNDANT
from equivalence_models import LARGE, SMALL, differ
from equivalence_unseen import ABSORBED, UNSEEN

STEP = 1e-3
WIDE = 4  # every so manyth copy has scales of up to a thousand
MODELS = {
    **{f"{c.name} (case)": c.build for c in (*CASES, *REDUNDANT, *ROTARY, *PARALLEL)},
    **{f"{n} (tree)": b for n, b in TREES.items()},
    **SMALL,
    **LARGE,
    **UNSEEN,
}


def order(n: int) -> str:
    """A large integer in brief."""
    digits = len(str(n))
    return str(n) if digits < 7 else f"about 10^{digits - 1}"


def planted(group: Any, seed: int, a: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A random copy of a point."""
    move = group.sample(seed)
    if seed % WIDE == WIDE - 1:
        generator = torch.Generator().manual_seed(seed)
        for s in (s for s in move.steps if s.factor.kind == "scale"):
            s.element.copy_(10 ** (6 * torch.rand(s.element.shape, generator=generator, dtype=torch.float64) - 3))
    return move.act(a)


def changed(b: dict[str, torch.Tensor], generator: torch.Generator) -> dict[str, torch.Tensor]:
    """A point with one random entry changed."""
    sizes = torch.tensor([float(t.numel()) ** 0.5 for t in b.values()])
    name = [*b][int(torch.multinomial(sizes, 1, generator=generator))]
    k = int(torch.randint(b[name].numel(), (1,), generator=generator))
    other = b[name].clone()
    other.view(-1)[k] += STEP
    return {**b, name: other}


def absorbing(b: dict[str, torch.Tensor], name: str, seed: int) -> dict[str, torch.Tensor]:
    """A point with a block changed that the function does not feel."""
    generator = torch.Generator().manual_seed(seed)
    return {**b, name: b[name] + torch.randn(b[name].shape, generator=generator, dtype=b[name].dtype)}


def campaign(name: str, repeats: int) -> tuple[bool, str]:
    """One architecture: whether all its claims hold, and the figures."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cost = MODELS[name]()
    begun = time.perf_counter()
    group = jensen.symmetries(cost, completeness=False)
    read_in = time.perf_counter() - begun
    generator = torch.Generator().manual_seed(7)
    a = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in cost.theta.items()}
    counts: dict[str, Counter[str]] = {"planted": Counter(), "changed": Counter(), "absorbed": Counter()}
    wrong, far, seconds = 0, 0.0, 0.0
    for k in range(repeats):
        b = planted(group, k, a)
        found = jensen.equivalent(cost, a, b, symmetries=group)
        counts["planted"][str(found.verdict)] += 1
        seconds += found.seconds
        far = max(far, found.evidence.get("distance", 0.0)) if found.move is not None else far
        c = changed(group.sample(k).act(a), generator)
        told = jensen.equivalent(cost, a, c, symmetries=group)
        counts["changed"][str(told.verdict)] += 1
        wrong += told.verdict != "INEQUIVALENT" and differ(cost, a, c)
        if name in ABSORBED:
            d = absorbing(b, ABSORBED[name], k)
            counts["absorbed"][str(jensen.equivalent(cost, a, d, symmetries=group).verdict)] += 1
    same = counts["planted"] + counts["absorbed"]
    good = same["EQUIVALENT"] == same.total() and not wrong
    verdicts = "; ".join(f"{what} {dict(c)}" for what, c in counts.items() if c)
    return good, (
        f"{name}: group of order {order(group.order)}, dimension {group.dimension}, read in {read_in:.1f} s; {verdicts}; "
        f"farthest {far:.0e}, {seconds / repeats:.2f} s each{'' if good else f'   <-- FAILS ({wrong} not told)'}"
    )


def main(repeats: int, names: list[str]) -> bool:
    """All architectures, the last first, over the processors; whether all claims hold."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        held = []
        for done in as_completed([pool.submit(campaign, name, repeats) for name in reversed(names)]):
            good, told = done.result()
            print(told, flush=True)
            held.append(good)
    return all(held)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    sys.exit(not main(count, sys.argv[2:] or [*MODELS]))
