"""Censuses of costs whose minima are known: prints a line each, exits 1 at an end of the wrong kind or a wrong count.

python tools/campaign_landscapes.py [part of a name]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import jensen
import landscapes


def main(part: str) -> int:
    bad = 0
    for case in (c for c in (*landscapes.SHORT, *landscapes.LONG) if part in c.name):
        begun = time.perf_counter()
        found = jensen.minima(case.make(), case.runs, **case.options)
        mistakes = landscapes.wrong(case, found)
        bad += bool(mistakes)
        print(
            f"{case.name}: {found.statement} {'; '.join(mistakes) or 'as known'} ({time.perf_counter() - begun:.0f} s)",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
