"""``python -m jensen.tables PATH`` writes the page of operations."""

from __future__ import annotations

import sys
from pathlib import Path

from jensen.tables import page

if len(sys.argv) != 2:
    sys.exit("usage: python -m jensen.tables PATH")
Path(sys.argv[1]).write_text(page(), encoding="utf-8")
