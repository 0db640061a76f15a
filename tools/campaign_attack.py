"""A long randomised attack on the kernel: prints its figures, exits 1 where something contradicts an accepted claim."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "kernel"))

from attack import attack


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    seen = attack(options.seed, seconds=options.seconds)
    figures = {"seed": options.seed, "programs": seen.programs, "accepted": dict(seen.accepted.most_common())}
    figures["undecided"] = dict(seen.undecided.most_common())
    print(json.dumps({**figures, "chords": seen.chords, "values": seen.values, "contradictions": len(seen.found)}))
    for found in seen.found[:20]:
        print(found)
    return 1 if seen.found else 0


if __name__ == "__main__":
    sys.exit(main())
