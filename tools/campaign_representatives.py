"""Is there one representative for an orbit? Random elements of the group for each architecture.

    python tools/campaign_representatives.py [repetitions] [name of one architecture] ...

For each architecture moves a point by random elements of its group, every fourth with scales up to a thousand, and compares
`canonical` of what comes out with that of the point, and the cost there. Claims: the same to 1e-8 of the largest entry of each block, of the same
cost to 1e-9. How many are not on the orbit, but in its closure, is told. Ends with 1 where a claim fails.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import jensen
from architectures import ARCHITECTURES
from ask.symmetry.branches import TREES
from ask.symmetry.cases import CASES
from ask.symmetry.parallel import PARALLEL, ROTARY
from ask.symmetry.representatives import apart, near
from campaign_equivalent import planted
from equivalence_models import LARGE, SMALL
from equivalence_unseen import UNSEEN

MODELS = {
    **{f"{c.name} (case)": c.build for c in (*CASES, *ROTARY, *PARALLEL)},
    **{f"{n} (tree)": b for n, b in TREES.items()},
    **{f"{n} (architecture)": b for n, b in ARCHITECTURES.items()},
    **SMALL,
    **LARGE,
    **UNSEEN,
}


def campaign(name: str, repeats: int) -> tuple[bool, bool, str]:
    """One architecture: whether its claims hold, whether its representative is on the orbit, and the figures."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cost = MODELS[name]()
    try:
        group = jensen.symmetries(cost, completeness=False, data=False)
    except jensen.Misuse as e:
        return True, True, f"{name}: no group ({' '.join(str(e).split())[:80]})"
    theta = near(cost)
    first, reached = group.represented(theta)
    before, after = float(cost(theta)), float(cost(first))
    felt = abs(after - before) / max(abs(before), 1e-300)
    far = max(apart(group.canonical(planted(group, k, theta)), first) for k in range(repeats))
    good = far < 1e-8 and felt < 1e-9
    where = "" if reached else "; not on the orbit, but in its closure"
    return good, reached, f"{name}: {far:.0e} apart, cost {felt:.0e}{where}{'' if good else '   <-- FAILS'}"


def main(repeats: int, names: list[str]) -> bool:
    """All architectures over the processors; whether all claims hold."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = []
        for done in as_completed([pool.submit(campaign, name, repeats) for name in names]):
            good, reached, told = done.result()
            print(told, flush=True)
            found.append((good, reached))
    held, on = (sum(column) for column in zip(*found, strict=True))
    print(f"{held} of {len(found)} have one representative, {on} of them on the orbit")
    return held == len(found)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    sys.exit(not main(count, sys.argv[2:] or [*MODELS]))
