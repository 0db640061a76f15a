"""Deletes every ``raise`` of the trusted part, one at a time, and runs the cases that end there: some case must notice.

Run as a program; prints JSON: raises that no case ends at, mutants that no case notices, and how many there are. A mutant
is tried in a fork of this process, whose functions get its code; one that no case notices there is tried over a newly
imported package too.
"""

from __future__ import annotations

import ast
import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
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
SECONDS = 20.0  # of processor time, for a case

Site = tuple[str, int]
Case = tuple[str, Any, tuple[type[BaseException], ...], str]


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


def fresh() -> list[Case]:
    """All cases, over a newly imported package."""
    for name in [n for n in sys.modules if n.split(".")[0] == "jensen" or n.startswith("refuse_")]:
        del sys.modules[name]
    rejected = importlib.import_module("jensen.kernel.errors").Rejected
    out = []
    for m in (importlib.import_module(n) for n in CORPUS):
        out += [(f"{m.__name__}: {name}", run, (rejected,), why) for name, run, why in m.CASES]
        out += [(f"{m.__name__}: {name}", run, kinds, why) for name, run, kinds, why in getattr(m, "OTHERS", [])]
    return out


def outcome(case: Case) -> tuple[bool, BaseException | None]:
    """Whether a case ends as it should, and its exception."""
    _, run, kinds, why = case
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        run()
    except BaseException as e:
        return isinstance(e, kinds) and why in str(e), e
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return False, None


def exchange(file: Path, code: CodeType) -> int:
    """Give the functions of a file the code that they have in other code of that file; how many that were."""
    codes, todo = {}, [code]
    while todo:
        c = todo.pop()
        codes[c.co_qualname, c.co_firstlineno] = c
        todo += [k for k in c.co_consts if isinstance(k, CodeType)]
    count = 0
    for f in gc.get_objects():
        if isinstance(f, FunctionType) and f.__code__.co_filename == str(file):
            other = codes.get((f.__code__.co_qualname, f.__code__.co_firstlineno))
            if other is not None and other != f.__code__:
                f.__code__ = other  # refused where it closes over fewer variables
                count += 1
    return count


def noticed_here(file: Path, line: int, cases: list[Case]) -> bool:
    """Whether a case notices in a fork that the raise on a line is gone."""
    child = os.fork()
    if child == 0:
        try:
            changed = exchange(file, without(file, line)) > 0
            os._exit(0 if changed and not all(outcome(case)[0] for case in cases) else 1)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def noticed_anew(file: Path, line: int, cases: list[int]) -> bool:
    """The same over a newly imported package."""
    mutant = Mutant(file, without(file, line))
    sys.meta_path.insert(0, mutant)
    try:
        known = fresh()
        return not all(outcome(known[k])[0] for k in cases)
    finally:
        sys.meta_path.remove(mutant)


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
    signal.signal(signal.SIGPROF, alarm)
    sys.path[:0] = [str(SOURCE.parent), str(HERE.parent / "refuse")]
    found: dict[Site, list[tuple[float, int]]] = {}
    wrong = []
    known = fresh()
    for k, case in enumerate(known):
        start = time.perf_counter()
        good, e = outcome(case)
        if not good:
            wrong.append(f"{case[0]}: {e!r}")
        for site in set(sites(e)):
            found.setdefault(site, []).append((time.perf_counter() - start, k))
    uncovered, survivors, anew, total = list[str](), list[str](), list[tuple[Path, int, list[int]]](), 0
    for file in files():
        for node, lines in raises(file):
            total += 1
            where = f"{file.relative_to(SOURCE)}:{node.lineno}"
            cases = [k for _, k in sorted({c for n in lines for c in found.get((str(file), n), [])})]
            if not cases:
                uncovered.append(where)
            elif not noticed_here(file, node.lineno, [known[k] for k in cases]):
                anew.append((file, node.lineno, cases))
    for file, line, cases in anew:
        if not noticed_anew(file, line, cases):
            survivors.append(f"{file.relative_to(SOURCE)}:{line} ({known[cases[0]][0]})")
    answer = {"raises": total, "wrong": wrong, "uncovered": uncovered, "survivors": survivors, "anew": len(anew)}
    sys.stdout.write(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
