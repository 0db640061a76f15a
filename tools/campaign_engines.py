"""Every engine against every law, the jobs of submitit too, whose units are two fresh processes each.

python tools/campaign_engines.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jensen.run.engines import Local
from jensen.run.engines_processes import Processes
from jensen.run.engines_ray import Ray
from jensen.run.engines_slurm import Slurm
from jensen.testing import check_engine


def main() -> None:
    """Raises LawBroken where one does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = Path(folder) / "jobs"
        engines: dict[str, Callable[[], Any]] = {
            "local": Local,
            "processes": lambda: Processes(2, retries=1),
            "slurm": lambda: Slurm(jobs, cluster="local", poll=0.05, retries=1, timeout_min=5),
            "ray": lambda: Ray(retries=1),
        }
        for name, make in engines.items():
            place, begun = Path(folder) / name, time.perf_counter()
            place.mkdir()
            check_engine(make, place, 4)
            print(f"{name}: all laws hold ({time.perf_counter() - begun:.0f} s)")


if __name__ == "__main__":
    main()
