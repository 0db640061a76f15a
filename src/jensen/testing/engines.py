"""The laws engines must keep.

``check_engine(make, folder)`` takes ``make()``, which gives a fresh engine with the methods of
:class:`jensen.run.engines.Engine`, and raises :class:`~jensen.testing.laws.LawBroken` with the witness. Units die in
earnest, by their own hand, where the engine says that it is isolated.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import Any

from jensen.errors import Misuse
from jensen.testing.laws import LawBroken

PATIENCE = 120  # seconds for a law
Witness = Iterator[str]


def check_engine(make: Callable[[], Any], folder: Path, units: int = 12) -> None:
    """All laws, on one engine from ``make`` for the work and another for closing.

    Args:
        make: A fresh engine each time.
        folder: An empty folder that its workers can write to.
        units: How many units are submitted at once.
    """
    engine = make()
    try:
        for law in LAWS:
            _hold(law, engine, Path(folder), units)
        if engine.isolated:
            for law in LAWS_OF_PROCESSES:
                _hold(law, engine, Path(folder), units)
    finally:
        engine.close()
    _hold(_what_is_closed_takes_no_more_work, engine, Path(folder), units)


def _hold(law: Callable[[Any, Path, int], Witness], engine: Any, folder: Path, units: int) -> None:
    name = law.__name__.strip("_").replace("_", " ")
    try:
        witness = next(law(engine, folder, units), None)
    except Exception as e:
        raise LawBroken(f"{name}: it raised {type(e).__name__}: {e}") from e
    if witness is not None:
        raise LawBroken(f"{name}: {witness}")


def _value(future: Future[Any]) -> Any:
    return future.result(timeout=PATIENCE)


def _results_are_those_of_a_call_here_bit_for_bit(engine: Any, folder: Path, units: int) -> Witness:
    import torch

    for seed in range(3):
        here, there = _drawn(seed), _value(engine.submit(_drawn, seed))
        if not torch.equal(here["t"], there["t"]) or here["nested"] != there["nested"]:
            yield f"{there} for {here}"


def _a_unit_gives_the_same_whatever_ran_before_it(engine: Any, folder: Path, units: int) -> Witness:
    futures = [engine.submit(_drawn, k % 3) for k in range(units)]
    got = [float(_value(f)["t"].sum()) for f in futures]
    alone = [float(_drawn(k % 3)["t"].sum()) for k in range(units)]
    if got != alone:
        yield f"{got} for {alone}"


def _many_units_each_get_their_own_answer(engine: Any, folder: Path, units: int) -> Witness:
    futures = [engine.submit(_square, k) for k in range(units)]
    done, _ = wait(futures, timeout=PATIENCE)
    got = [f.result() if f in done else None for f in futures]
    if got != [k * k for k in range(units)]:
        yield f"{got}"


def _what_a_unit_raises_is_raised_where_it_is_asked(engine: Any, folder: Path, units: int) -> Witness:
    bad, good = engine.submit(_refuse, "seven"), engine.submit(_square, 3)
    error = bad.exception(timeout=PATIENCE)
    if not isinstance(error, Misuse) or str(error) != "the number seven is not wanted here":
        yield f"{error!r}"
    if _value(good) != 9:
        yield "the next unit was disturbed"


def _functions_that_have_no_name_run_too(engine: Any, folder: Path, units: int) -> Witness:
    held = units
    if _value(engine.submit(lambda k: k + held, 1)) != units + 1 or _value(engine.submit(partial(_square, 4))) != 16:
        yield "a closure or a partial function gave something else"


def _a_unit_whose_process_dies_runs_again(engine: Any, folder: Path, units: int) -> Witness:
    mark = folder / "died once"
    others = [engine.submit(_square, k) for k in range(units)]
    got = _value(engine.submit(_die_once, str(mark), 5))
    if got != 25 or not mark.exists():
        yield f"{got}, and the unit {'died' if mark.exists() else 'never ran'}"
    if [_value(f) for f in others] != [k * k for k in range(units)]:
        yield "other units were disturbed"


def _a_unit_that_always_dies_is_given_up_in_the_end(engine: Any, folder: Path, units: int) -> Witness:
    from jensen.run.packing import UnitLost

    error = engine.submit(_die).exception(timeout=PATIENCE)
    if not isinstance(error, UnitLost):
        yield f"{error!r}"
    if _value(engine.submit(_square, 2)) != 4:
        yield "and nothing runs any more"


def _what_an_exception_cannot_carry_is_told_in_words(engine: Any, folder: Path, units: int) -> Witness:
    error = engine.submit(_raise_what_cannot_be_sent).exception(timeout=PATIENCE)
    if error is None or "something odd" not in str(error):
        yield f"{error!r}"


def _work_that_cannot_be_sent_is_refused(engine: Any, folder: Path, units: int) -> Witness:
    import threading

    try:
        engine.submit(_square, threading.Lock())
    except Misuse:
        return
    yield "a lock was sent"


def _workers_have_the_threads_they_were_given(engine: Any, folder: Path, units: int) -> Witness:
    got = _value(engine.submit(_threads))
    if got != getattr(engine, "threads", 1):
        yield f"torch runs {got} threads in a worker"


def _what_is_closed_takes_no_more_work(engine: Any, folder: Path, units: int) -> Witness:
    engine.close()
    try:
        engine.submit(_square, 2)
    except Misuse:
        return
    yield "a closed engine took a unit"


# -- units ----------------------------------------------------------------------------------------------------------


def _drawn(seed: int) -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    t = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    return {"t": (t @ t).tanh(), "nested": [1 / 3, "x", (seed, None)]}


def _square(k: int) -> int:
    return k * k


def _refuse(word: str) -> None:
    raise Misuse(f"the number {word} is not wanted here")


class _Odd(Exception):
    def __init__(self, a: int, b: int):
        super().__init__("something odd")


def _raise_what_cannot_be_sent() -> None:
    raise _Odd(1, 2)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(mark: str, k: int) -> int:
    if not os.path.exists(mark):
        Path(mark).touch()
        _die()
    return k * k


def _threads() -> int:
    import torch

    return torch.get_num_threads()


LAWS = (
    _results_are_those_of_a_call_here_bit_for_bit,
    _a_unit_gives_the_same_whatever_ran_before_it,
    _many_units_each_get_their_own_answer,
    _what_a_unit_raises_is_raised_where_it_is_asked,
    _functions_that_have_no_name_run_too,
)
LAWS_OF_PROCESSES = (
    _a_unit_whose_process_dies_runs_again,
    _a_unit_that_always_dies_is_given_up_in_the_end,
    _what_an_exception_cannot_carry_is_told_in_words,
    _work_that_cannot_be_sent_is_refused,
    _workers_have_the_threads_they_were_given,
)
