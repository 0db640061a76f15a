"""The house's budgets: files, functions and the trusted kernel stay small enough to be read."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src" / "jensen"
FILE, FUNCTION, KERNEL, CLAIM = 400, 50, 1_000, 150


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def code_lines(path: Path) -> int:
    """Lines that are neither blank, nor comments, nor docstrings: what a reader of the kernel must trust."""
    text = path.read_text(encoding="utf-8")
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            doc = node.body[0]
            skipped |= set(range(doc.lineno, (doc.end_lineno or doc.lineno) + 1))
    rows = enumerate(text.splitlines(), start=1)
    return sum(1 for i, row in rows if i not in skipped and row.strip() and not row.lstrip().startswith("#"))


def in_file(path: Path) -> Iterator[str]:
    name = path.relative_to(SOURCE.parent)
    if lines(path) >= FILE:
        yield f"{name}: {lines(path)} lines; a file has fewer than {FILE}"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size >= FUNCTION:
                yield f"{name}:{node.lineno}: {node.name} has {size} lines; a function has fewer than {FUNCTION}"
        elif isinstance(node, ast.Assert):
            yield f"{name}:{node.lineno}: an assert vanishes under python -O; raise instead"


def in_kernel() -> Iterator[str]:
    core = sum(lines(p) for p in (SOURCE / "kernel").glob("*.py"))
    if core >= KERNEL:
        yield f"jensen/kernel: {core} lines; the core has fewer than {KERNEL}"
    for path in sorted((SOURCE / "kernel" / "claims").glob("*.py")):
        size = code_lines(path)
        if size >= CLAIM:
            yield f"jensen/kernel/claims/{path.name}: {size} lines of code; a checker has fewer than {CLAIM}"


def main() -> int:
    problems = [p for path in sorted(SOURCE.rglob("*.py")) for p in in_file(path)]
    problems += in_kernel()
    for problem in problems:
        print(problem)
    if not problems:
        print("budgets: all kept")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
