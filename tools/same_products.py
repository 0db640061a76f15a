"""Is what one Hessian product computes the same as at an earlier revision? What was measured there then still holds.

    python tools/same_products.py REVISION

On a GPU products are measured when one is at hand (benchmarks/curvature_gpu.py). Here the same networks are linearised on the
CPU by both revisions, with fewer rows, and the maps of 8 columns are compared operation by operation: their kinds, arguments and
shapes. One input may stand for several that were kept apart before. Choices that are made by a measurement are made alike in
both. Exits with 1 where something differs, and says what.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent.parent
NODES = "--nodes"
ROWS, COLUMNS = {"gpt": 2, "resnet18": 32}, 8  # of data, where all of it would take long


Line = tuple[str, str, list[int], str]  # kind, constant arguments, places of the others, shape


def nodes(tree: Path, name: str) -> list[Line]:
    """The operations of one product by the jensen that lies in a tree, on this tree's network."""
    sys.path[:0] = [str(tree / "src"), *(str(HERE / d) for d in ("benchmarks", "tests"))]
    import torch
    from curvature_gpu import MODELS  # pyright: ignore[reportMissingImports]
    from torch import nn

    import jensen
    from jensen.linalg.linearise import Linearised

    if not Path(jensen.__file__).is_relative_to(tree):
        raise SystemExit(f"{jensen.__file__} was imported, not the jensen of {tree}")
    _measure_nothing()
    seen: list[Any] = []
    graph = Linearised.graph
    Linearised.graph = lambda self, width: seen.append(graph(self, width)) or seen[-1]
    torch.manual_seed(0)
    model, x, y = MODELS[name]()
    rows = ROWS.get(name, len(x))
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), (x[:rows], y[:rows]), dtype=torch.float32)
    h = jensen.hessian(cost, width=COLUMNS, compiled=False)
    _ = h @ torch.randn(h.n, COLUMNS)
    return _lines(max((g.graph for g in seen), key=lambda g: _columns(g)))


def _measure_nothing() -> None:
    """Where the faster of two ways would be taken, the first is; what is done for CPUs alone is left out."""
    for name in ("linear_convolution", "linear_kernels", "linear_layout", "linear_tall"):
        with suppress(ModuleNotFoundError):  # some are newer than some revisions
            module: Any = import_module(f"jensen.linalg.{name}")
            module.seconds = lambda f, *_: 1.0
            if hasattr(module, "fragile"):  # convolutions that oneDNN must not get with channels last
                module.fragile = lambda *_: False


def _columns(graph: Any) -> bool:
    """Whether a map takes several vectors: its last tangent then has one axis more than those of the map of one."""
    given = [n for n in graph.nodes if n.op == "placeholder"]
    return given[-1].meta["val"].shape[0] == COLUMNS


def _lines(graph: Any) -> list[Line]:
    from torch.fx.node import map_arg

    at = {node: i for i, node in enumerate(graph.nodes)}
    lines = []
    for n in graph.nodes:
        places: list[int] = []
        rest = map_arg((n.args, n.kwargs), lambda a: places.append(at[a]))  # noqa: B023
        kind = str(n.target) if n.op == "call_function" else n.op
        lines.append((kind, str(rest), places, str(tuple(getattr(n.meta.get("val"), "shape", ())))))
    return lines


def told(tree: Path, name: str) -> list[Line]:
    """The same from a process of its own: two versions of one package do not go together."""
    done = subprocess.run(
        [sys.executable, __file__, NODES, str(tree), name], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _difference(then: list[Line], now: list[Line]) -> tuple[Line | None, Line | None] | None:
    """The first operations that differ when read in order; each place then must be one place now."""
    same: dict[int, int] = {}
    ops = ([(i, n) for i, n in enumerate(m) if n[0] != "placeholder"] for m in (then, now))
    for old, new in zip_longest(*ops):
        if old is None or new is None:
            return old and old[1], new and new[1]
        (i, a), (j, b) = old, new
        pairs = [*zip(a[2], b[2], strict=False), (i, j)]
        alike = all(same.setdefault(k, m) == m and then[k][3] == now[m][3] for k, m in pairs)
        if not alike or len(a[2]) != len(b[2]) or (a[0], a[1]) != (b[0], b[1]):
            return a, b
    return None


def main(revision: str) -> int:
    found = 0
    with TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision, "src"], cwd=HERE, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        for name in ("mlp", "gpt", "resnet18"):
            then, now = told(Path(folder).resolve(), name), told(HERE, name)
            then_ops, now_ops = (sum(a[0] != "placeholder" for a in m) for m in (then, now))
            inputs = (len(then) - then_ops) - (len(now) - now_ops)
            first = _difference(then, now)
            if first is None:
                fewer = f", on {inputs} inputs fewer" if inputs > 0 else ""
                print(f"{name:9} the same {now_ops} operations as at {revision}{fewer}")
                continue
            found = 1
            print(f"{name:9} {then_ops} operations at {revision}, {now_ops} now; the first that differ:")
            print(f"    then {first[0]}\n    now  {first[1]}")
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == [NODES]:
        print(json.dumps(nodes(Path(sys.argv[2]), sys.argv[3])))
    elif len(sys.argv) == 2:
        sys.exit(main(sys.argv[1]))
    else:
        print(__doc__)
        sys.exit(2)
