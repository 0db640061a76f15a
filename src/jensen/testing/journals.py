"""The laws journals must pass.

``check_journal(make, folder)`` takes ``make(path)``, which opens a journal with the methods of
:class:`jensen.run.journal.Journal`, and raises :class:`~jensen.testing.laws.LawBroken` with the witness. Writers run in
their own processes and are killed in earnest, so ``make`` must be a function of a module.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from jensen.errors import Misuse
from jensen.testing.laws import LawBroken

Make = Callable[[Path], Any]
Sizes = tuple[int, int]
Witness = Iterator[str]
RECORDS: tuple[dict[str, Any], ...] = (
    {},
    {"text": 'lines\nand "quotes", \u2028 and é', "nothing": None, "yes": True},
    {"small": 5e-324, "third": 1 / 3, "negative zero": -0.0, "large": 2**80, "nested": {"a": [1, [2.5, "x"]]}},
)


def check_journal(make: Make, folder: Path, seed: int = 0, writers: int = 2, records: int = 20) -> None:
    """All laws, each on a fresh file in the folder.

    Args:
        make: Opens the journal at a path; a function of a module, so that other processes can call it.
        folder: An empty folder.
        seed: For the random places where files are cut and writers killed.
        writers: Processes that append at once.
        records: Records that each of them appends.
    """
    rng = Random(seed)
    for law in LAWS:
        path = Path(folder) / f"{law.__name__.strip('_')}.jsonl"
        witness = _first(law, make, path, rng, (writers, records))
        if witness is not None:
            raise LawBroken(f"{law.__name__.strip('_').replace('_', ' ')}: {witness}")


def _first(law: Callable[..., Witness], *args: Any) -> str | None:
    try:
        return next(law(*args), None)
    except (Misuse, OSError, LookupError, ValueError) as e:
        return f"it raised {type(e).__name__}: {e}"


def _what_is_appended_is_read_back_in_order(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    journal = make(path)
    if journal.read() != []:
        yield "a journal that was never written to has records"
    for k, record in enumerate(RECORDS):
        journal.append(record)
        for reader in (journal, make(path)):
            got = reader.read()
            if got != list(RECORDS[: k + 1]) or repr(got) != repr(list(RECORDS[: k + 1])):
                yield f"{got} after {RECORDS[: k + 1]}"


def _numbers_that_are_not_finite_stay_what_they_are(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    make(path).append({"a": float("nan"), "b": [float("inf"), -float("inf")]})
    got = make(path).read()[0]
    if [str(float(v)) for v in (got["a"], *got["b"])] != ["nan", "inf", "-inf"]:
        yield f"{got}"


def _tensors_come_back_bit_for_bit(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    import torch

    base = torch.arange(12, dtype=torch.float64).reshape(3, 4) / 7
    kept = {
        "transposed": base.T, "one": torch.tensor(1 / 3), "none": torch.zeros(0, 5), "half": base.bfloat16(),
        "whole": torch.tensor([2**62, -1]), "nan": torch.tensor([float("nan")]), "same memory": base,
    }  # fmt: skip
    make(path).append({"n": 1}, kept)
    make(path).append({"n": 2}, kept)
    for entry in make(path).entries():
        got = entry.load()
        for name, t in kept.items():
            same = name in got and got[name].dtype == t.dtype and torch.equal(got[name].nan_to_num(7), t.nan_to_num(7))
            if not same or got[name].shape != t.shape:
                yield f"{name}: {got.get(name)} for {t}"


def _a_key_is_filed_once(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    first, second = make(path), make(path)
    answers = [first.append({"n": 1}, key="a"), second.append({"n": 2}, key="a"), first.append({"n": 3}, key="b")]
    answers.append(second.append({"n": 4}, key="b"))
    if answers != [True, False, True, False] or [r["n"] for r in make(path).read()] != [1, 3]:
        yield f"{answers}, {make(path).read()}"
    if make(path).keys() != {"a", "b"}:
        yield f"{make(path).keys()}"


def _what_cannot_be_kept_is_refused_whole(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    journal = make(path)
    journal.append({"n": 1})
    before = path.read_bytes()
    for record, tensors in (({"a": object()}, None), ({"a": b"x"}, None), ([1], None), ({}, {"t": "no tensor"})):
        try:
            journal.append(record, tensors)
        except Misuse:
            if path.read_bytes() != before:
                yield f"{record} was refused, and yet the file changed"
        else:
            yield f"{record} with {tensors} was accepted"


def _a_torn_end_costs_the_torn_record_alone(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    journal = make(path)
    journal.append({"n": 0})
    whole = path.stat().st_size
    journal.append({"n": 1, "text": "x" * 50})
    data = path.read_bytes()
    for cut in range(0, len(data)):
        path.write_bytes(data[:cut])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(path).append({"n": "next"})
            got = [r["n"] for r in make(path).read()]
        expected = [n for n, end in ((0, whole), (1, len(data))) if cut >= end - 1] + ["next"]
        if got != expected:
            yield f"cut at byte {cut} of {len(data)}: {got}, not {expected}"


def _writers_do_not_disturb_each_other(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    writers, records = sizes
    started = [_start(_append_many, make, path, w, records) for w in range(writers)]
    for p, _ in started:
        p.join()
    got = make(path).entries()
    for w in range(writers):
        mine = [e.record["n"] for e in got if e.record["writer"] == w]
        if mine != list(range(records)):
            yield f"writer {w} appended 0 to {records - 1} and {mine} were read"
    if any(float(e.load()["t"]) != e.record["n"] for e in got):
        yield "tensors of one record came back with another"
    if sorted(e.key for e in got if e.key) != sorted(f"shared {k}" for k in range((records + 1) // 2)):
        yield "a key that two writers used was not filed once"


def _a_killed_writer_loses_nothing_it_was_told_is_there(make: Make, path: Path, rng: Random, sizes: Sizes) -> Witness:
    told: list[int] = []
    for life in range(3):
        process, pipe = _start(_append_and_tell, make, path, life)
        pipe.poll(60)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join()
        told += _drain(pipe)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(path).append({"n": -1 - life})
            got = [r["n"] for r in make(path).read()]
        if not set(told) <= set(got) or -1 - life not in got or len(set(got)) != len(got):
            yield f"appended {sorted(told)}, read {sorted(got)}"


def _drain(pipe: Any) -> list[int]:
    out = []
    try:
        while pipe.poll():
            out.append(pipe.recv())
    except EOFError:
        pass
    return out


def _start(target: Callable[..., None], *args: Any) -> tuple[Any, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(*args, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _append_many(make: Make, path: Path, writer: int, records: int, pipe: Any) -> None:
    import torch

    journal = make(path)
    for n in range(records):
        key = f"shared {n // 2}" if n % 2 == 0 else None
        added = journal.append({"writer": writer, "n": n}, {"t": torch.tensor(float(n))}, key=key)
        if not added:
            journal.append({"writer": writer, "n": n}, {"t": torch.tensor(float(n))})


def _append_and_tell(make: Make, path: Path, life: int, pipe: Any) -> None:
    journal = make(path)
    for k in range(100_000):
        n = life * 1_000_000 + k
        journal.append({"n": n, "text": "x" * (k % 3000)})
        pipe.send(n)


LAWS = (
    _what_is_appended_is_read_back_in_order,
    _numbers_that_are_not_finite_stay_what_they_are,
    _tensors_come_back_bit_for_bit,
    _a_key_is_filed_once,
    _what_cannot_be_kept_is_refused_whole,
    _a_torn_end_costs_the_torn_record_alone,
    _writers_do_not_disturb_each_other,
    _a_killed_writer_loses_nothing_it_was_told_is_there,
)
