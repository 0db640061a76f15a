"""Is what one Hessian product computes the same as at an earlier revision? What was measured there then still holds.

    python tools/same_products.py REVISION

On a GPU products are measured when one is at hand (benchmarks/curvature_gpu.py). Here the same networks are linearised on the
CPU by both revisions, with fewer rows, and the maps of 8 columns are compared operation by operation: their kinds, arguments and
shapes. Choices that are made by a measurement are made alike in both. Exits with 1 where something differs, and says what.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent.parent
NODES = "--nodes"
ROWS, COLUMNS = {"gpt": 2, "resnet18": 32}, 8  # of data, where all of it would take long


def nodes(tree: Path, name: str) -> list[str]:
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
    """Where the faster of two ways would be taken, the first is."""
    from jensen.linalg import linear_convolution, linear_kernels

    for module in (linear_convolution, linear_kernels):
        setattr(module, "seconds", lambda f: 1.0)  # noqa: B010


def _columns(graph: Any) -> bool:
    """Whether a map takes several vectors: its last tangent then has one axis more than those of the map of one."""
    given = [n for n in graph.nodes if n.op == "placeholder"]
    return given[-1].meta["val"].shape[0] == COLUMNS


def _lines(graph: Any) -> list[str]:
    from torch.fx.node import map_arg

    at = {node: i for i, node in enumerate(graph.nodes)}
    return [
        f"{n.op} {n.target if n.op == 'call_function' else ''} {map_arg((n.args, n.kwargs), lambda a: at[a])} "
        f"{tuple(getattr(n.meta.get('val'), 'shape', ()))}"
        for n in graph.nodes
    ]


def told(tree: Path, name: str) -> list[str]:
    """The same from a process of its own: two versions of one package do not go together."""
    done = subprocess.run(
        [sys.executable, __file__, NODES, str(tree), name], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(revision: str) -> int:
    found = 0
    with TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", revision, "src"], cwd=HERE, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        for name in ("mlp", "gpt", "resnet18"):
            then, now = told(Path(folder).resolve(), name), told(HERE, name)
            pairs = enumerate(zip_longest(then, now))
            first = next(((i, a, b) for i, (a, b) in pairs if a != b), None)
            if first is None:
                print(f"{name:9} the same {len(now)} operations as at {revision}")
                continue
            found = 1
            print(
                f"{name:9} {len(then)} operations at {revision}, {len(now)} now; number {first[0]} is the first that differs:"
            )
            print(f"    then {first[1]}\n    now  {first[2]}")
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == [NODES]:
        print(json.dumps(nodes(Path(sys.argv[2]), sys.argv[3])))
    elif len(sys.argv) == 2:
        sys.exit(main(sys.argv[1]))
    else:
        print(__doc__)
        sys.exit(2)
