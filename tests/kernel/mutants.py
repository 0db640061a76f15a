"""Deletes every ``raise`` of the trusted part, one at a time, and runs the cases that end there: some case must notice.

Run as a program; prints JSON: raises that no case ends at, mutants that no case notices, and how many there are.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.util
import json
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src" / "jensen"
CORPUS = (
    "refuse_claims",
    "refuse_rules",
    "refuse_files",
    "refuse_parts",
    "refuse_data",
    "refuse_closer",
    "refuse_moves",
)
SECONDS = 20

Site = tuple[str, int]


def files() -> list[Path]:
    return [*sorted((SOURCE / "kernel").rglob("*.py")), SOURCE / "certificate.py", SOURCE / "codec.py"]


def raises(file: Path) -> list[tuple[ast.Raise, range]]:
    """Each raise, and the lines at which a traceback shows it: for a bare one, those of its ``try``."""
    tree = ast.parse(file.read_text())
    handlers = {id(n): t for t in ast.walk(tree) if isinstance(t, ast.Try) for h in t.handlers for n in ast.walk(h)}
    out = []
    for n in (n for n in ast.walk(tree) if isinstance(n, ast.Raise)):
        shown = [n] if n.exc is not None else handlers[id(n)].body
        out.append((n, range(shown[0].lineno, shown[-1].end_lineno + 1)))
    return out


def without(file: Path, line: int) -> CodeType:
    """The file's code, with `pass` in place of the raise on a line."""

    class Delete(ast.NodeTransformer):
        def visit_Raise(self, node: ast.Raise) -> ast.stmt:
            return ast.copy_location(ast.Pass(), node) if node.lineno == line else node

    return compile(Delete().visit(ast.parse(file.read_text())), str(file), "exec")


class Mutant(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Serves one module from other code."""

    def __init__(self, file: Path, code: CodeType):
        parts = file.relative_to(SOURCE.parent).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.code = code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return self.code

    def get_source(self, fullname: str) -> None:
        return None


def fresh() -> list[tuple[str, Any, tuple[type[BaseException], ...], str]]:
    """All cases, over a newly imported package."""
    for name in [n for n in sys.modules if n.split(".")[0] == "jensen" or n.startswith("refuse_")]:
        del sys.modules[name]
    rejected = importlib.import_module("jensen.kernel.errors").Rejected
    out = []
    for m in (importlib.import_module(n) for n in CORPUS):
        out += [(f"{m.__name__}: {name}", run, (rejected,), why) for name, run, why in m.CASES]
        out += [(f"{m.__name__}: {name}", run, kinds, why) for name, run, kinds, why in getattr(m, "OTHERS", [])]
    return out


def outcome(case: tuple[str, Any, tuple[type[BaseException], ...], str]) -> tuple[bool, BaseException | None]:
    """Whether a case ends as it should, and its exception."""
    _, run, kinds, why = case
    signal.alarm(SECONDS)
    try:
        run()
    except BaseException as e:
        return isinstance(e, kinds) and why in str(e), e
    finally:
        signal.alarm(0)
    return False, None


def sites(e: BaseException | None) -> Iterator[Site]:
    """Files and lines at which an exception, and those that led to it, were raised."""
    seen = []
    todo = [e]
    while todo:
        x = todo.pop()
        if x is None or x in seen:
            continue
        seen.append(x)
        todo += [x.__context__, x.__cause__]
        tb = x.__traceback__
        while tb is not None:
            if str(SOURCE) in tb.tb_frame.f_code.co_filename:
                yield tb.tb_frame.f_code.co_filename, tb.tb_lineno
            tb = tb.tb_next


def alarm(*_: Any) -> None:
    raise TimeoutError("too slow")


def main() -> None:
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, alarm)
    sys.path[:0] = [str(SOURCE.parent), str(HERE.parent / "refuse")]
    found: dict[Site, list[tuple[float, int]]] = {}
    wrong = []
    for k, case in enumerate(fresh()):
        start = time.perf_counter()
        good, e = outcome(case)
        if not good:
            wrong.append(f"{case[0]}: {e!r}")
        for site in set(sites(e)):
            found.setdefault(site, []).append((time.perf_counter() - start, k))
    uncovered, survivors, total = [], [], 0
    for file in files():
        for node, lines in raises(file):
            total += 1
            where = f"{file.relative_to(SOURCE)}:{node.lineno}"

            cases = sorted({c for n in lines for c in found.get((str(file), n), [])})
            if not cases:
                uncovered.append(where)
                continue
            mutant = Mutant(file, without(file, node.lineno))
            sys.meta_path.insert(0, mutant)
            try:
                fresh_cases = fresh()
                if all(outcome(fresh_cases[k])[0] for _, k in cases):
                    survivors.append(f"{where} ({fresh_cases[cases[0][1]][0]})")
            finally:
                sys.meta_path.remove(mutant)
    answer = {"raises": total, "wrong": wrong, "uncovered": uncovered, "survivors": survivors}
    sys.stdout.write(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
