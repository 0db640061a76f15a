"""The line that a watched training draws on a terminal, over itself."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any, TextIO


class Line:
    """Draws each record of a watch over the one before."""

    def __init__(self, stream: TextIO):
        self.stream, self.drawn = stream, False

    def __call__(self, record: Mapping[str, Any]) -> None:
        width = shutil.get_terminal_size().columns - 1
        self.stream.write(f"\r\x1b[2K{words(record)[:width]}")
        self.stream.flush()
        self.drawn = True

    def close(self) -> None:
        """Leave the last record standing."""
        if self.drawn:
            self.stream.write("\n")
            self.stream.flush()
        self.drawn = False


def words(record: Mapping[str, Any]) -> str:
    """One record in one line."""
    parts = [f"step {record['step']}", f"J {_number(record['J'])}", f"|g| {_number(record['gradient_norm'])}"]
    if record["lowest"]:
        parts.append(f"λ {_end(record['lowest'])} … {_end(record['highest'])}")
        parts.append(f"index ≥ {record['index']}")
    if record["loss_part"] is not None:
        parts.append(f"loss {record['loss_part']:+.2g} network {record['network_part']:+.2g}")
    if record["error"]:
        parts.append(record["error"])
    return "  ".join([*parts, f"watched for {100 * record['share']:.1f} %"])


def _end(values: Any) -> str:
    return f"{values[0]['value']:.4g}±{values[0]['bound']:.0e}"


def _number(value: Any) -> str:
    return "-" if value is None else f"{float(value):.4g}"
