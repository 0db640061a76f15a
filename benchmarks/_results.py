"""Results of benchmarks as JSON with the machine and the versions that gave them: ``benchmarks/results/NAME.json``."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("jensen", "torch", "numpy", "python-flint", "scipy")


def versions(*more: str) -> dict[str, str]:
    """Installed versions; peers that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device(cuda: bool) -> str:
    """The processor, or the CUDA device, in words."""
    import torch

    if cuda:
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((row.split(":", 1)[1].strip() for row in lines if row.startswith("model name")), platform.machine())
    return f"{name}, {torch.get_num_threads()} threads"


def save(name: str, rows: list[dict[str, Any]], *peers: str, cuda: bool = False) -> Path:
    """Write one benchmark's rows; the peers are packages whose versions matter too."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    data = {"device": device(cuda), "versions": versions(*peers), "rows": rows}
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return path
