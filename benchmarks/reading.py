"""How fast are facts read? The kernel beside CVXPY's ``is_dcp`` on the same expressions, and large networks.

Prints JSON lines, and keeps them in ``benchmarks/results/reading.json``. Ratios are CVXPY's time over jensen's, medians of repeated runs in one process.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _results import save

from jensen.atoms import registry
from jensen.kernel.claims.leaves import Leaves
from jensen.kernel.program import Node, Problem, Program, Ref, Term
from jensen.kernel.readings import read_facts

RUNS = 5
ROWS: list[dict[str, Any]] = []


def timed(f: Callable[[], Any]) -> float:
    """Median seconds of a call."""
    out = []
    for _ in range(RUNS):
        start = time.perf_counter()
        f()
        out.append(time.perf_counter() - start)
    return statistics.median(out)


def program(nodes: list[tuple[str, tuple[Any, ...]]]) -> Problem:
    named = tuple(Node(f"n{i}", op, args) for i, (op, args) in enumerate(nodes))
    return Problem((Term(Program(named, len(named) - 1), {}),), {"x": ()})


def icnn(layers: int) -> Problem:
    """z <- relu(0.5 z + x), an input-convex chain."""
    nodes: list[tuple[str, tuple[Any, ...]]] = [("block", ("x",))]
    z = 0
    for _ in range(layers):
        nodes.append(("aten.mul.Tensor", (Ref(z), 0.5)))
        nodes.append(("aten.add.Tensor", (Ref(len(nodes) - 1), Ref(0))))
        nodes.append(("aten.relu.default", (Ref(len(nodes) - 1),)))
        z = len(nodes) - 1
    return program(nodes)


def doubling(depth: int) -> Problem:
    """e <- exp(e) + e: a graph with 2^depth paths."""
    nodes: list[tuple[str, tuple[Any, ...]]] = [("block", ("x",))]
    for _ in range(depth):
        e = len(nodes) - 1
        nodes.append(("aten.exp.default", (Ref(e),)))
        nodes.append(("aten.add.Tensor", (Ref(e), Ref(e + 1))))
    return program(nodes)


def read(problem: Problem) -> None:
    linked = problem.linked(0, registry())
    read_facts(linked, Leaves({}, ("x",), {}))


def jensen_seconds(make: Callable[[], Problem]) -> tuple[float, float, int]:
    """Seconds to link and read a fresh problem, to read a linked one, and the number of nodes."""
    problem = make()
    nodes = len(problem.terms[0].program.nodes)
    whole = timed(lambda: read(Problem(problem.terms, problem.blocks)))
    return whole, timed(lambda: read(problem)), nodes


def cvxpy_icnn(layers: int) -> Any:
    import cvxpy as cp

    x = cp.Variable()
    z = x
    for _ in range(layers):
        z = cp.pos(0.5 * z + x)
    return z


def cvxpy_doubling(depth: int) -> Any:
    import cvxpy as cp

    e = cp.Variable()
    for _ in range(depth):
        e = cp.exp(e) + e
    return cp.Problem(cp.Minimize(e))


def peer_seconds(build: Callable[[], Any]) -> float | str:
    """Seconds of is_dcp on a fresh expression (its result is cached in it), or the error's name."""
    times = []
    for _ in range(RUNS):
        try:
            expression = build()
            start = time.perf_counter()
            expression.is_dcp()
            times.append(time.perf_counter() - start)
        except RecursionError:
            return "RecursionError"
    return statistics.median(times)


def expressions() -> None:
    for layers in (10, 30, 100, 1000, 33_000):
        whole, again, nodes = jensen_seconds(lambda n=layers: icnn(n))
        peer = peer_seconds(lambda n=layers: cvxpy_icnn(n)) if layers <= 1000 else "not run"
        report("input-convex chain", layers, nodes, whole, again, peer)
    for depth in (10, 15, 18, 40):
        whole, again, nodes = jensen_seconds(lambda n=depth: doubling(n))
        peer = peer_seconds(lambda n=depth: cvxpy_doubling(n)) if depth <= 18 else "not run: 2^40 paths"
        report("graph of 2^n paths", depth, nodes, whole, again, peer)


def report(name: str, size: int, nodes: int, whole: float, again: float, peer: float | str) -> None:
    line = {
        "what": name,
        "n": size,
        "nodes": nodes,
        "nodes_per_second_link_and_read": round(nodes / whole),
        "nodes_per_second_read": round(nodes / again),
        "cvxpy_is_dcp_seconds": peer,
        "cvxpy_over_jensen": round(peer / whole, 1) if isinstance(peer, float) else None,
    }
    show(line)


def show(line: dict[str, Any]) -> None:
    ROWS.append(line)
    print(json.dumps(line), flush=True)


def example(name: str) -> Any:
    path = Path(__file__).parent.parent / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"no example {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.cost() if not hasattr(module.cost, "blocks") else module.cost


def networks() -> None:
    from jensen.kernel.check import Claim, check
    from jensen.kernel.errors import Rejected
    from jensen.trace import trace

    for name, head in (("resnet50", "fc.*"), ("gpt", "head*"), ("lstm", "head*")):
        cost = example(name)
        start = time.perf_counter()
        traced = trace(cost)
        total = time.perf_counter() - start
        line: dict[str, Any] = {"what": name, "nodes": len(traced.problem.terms[0].program.nodes)}
        line |= {"export_seconds": round(traced.seconds, 2), "export_and_replay_seconds": round(total, 2)}
        for label, pattern in (("head", head), ("joint", None)):
            claim = Claim("convex", cost.match(pattern), {})
            start = time.perf_counter()
            try:
                check(traced.problem, claim, {"method": "rules"}, registry())
                answer = "PROVED"
            except Rejected as e:
                answer = f"not provable at {e.node}"
            line |= {label: answer, f"{label}_seconds": round(time.perf_counter() - start, 3)}
        show(line)


if __name__ == "__main__":
    expressions()
    if "--no-networks" not in sys.argv:
        networks()
    save("reading", ROWS, "cvxpy")
