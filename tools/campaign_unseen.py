"""The long part of the third zoo: prints what stays undecided and how much is decided, exits 1 at a wrong answer."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import jensen
import unseen_long
import unseen_long_blocks
import unseen_long_layers
import unseen_more

TABLES = (unseen_more, unseen_long, unseen_long_layers, unseen_long_blocks)
RIGHT = {"PROVED": True, "REFUTED": False, "MEASURED": False}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=2.0, help="seconds for each search")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    for case in (c for table in TABLES for c in table.CASES):
        asked = {"of": case.of, "claim": case.claim, "within": case.within, "ideal": case.ideal}
        finding = jensen.check(case.make(), budget=options.budget, **asked)
        verdict = finding.verdict.value
        wrong = verdict in RIGHT and RIGHT[verdict] is not case.truth
        counts["wrong" if wrong else verdict] += case.truth is not None or wrong
        if wrong or (verdict == "UNKNOWN" and case.truth is not None):
            print(f"{'WRONG ' + verdict if wrong else verdict}  {case.name}: {finding.reason[:160]}", flush=True)
    print(dict(counts), f"decided: {1 - (counts['UNKNOWN'] + counts['MEASURED']) / sum(counts.values()):.1%}")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
