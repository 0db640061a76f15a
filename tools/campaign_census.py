"""``kill -9`` at 50 random moments of a census with 4 processes: does the journal end as an undisturbed run's, bit for bit?

    python tools/campaign_census.py [kills] [seed]

Each time a driver with its own four workers is started on the same journal; at random moments two of its workers are killed,
then the driver, alone or with all its workers; sometimes two drivers work at once. What is left is finished in peace, and
compared.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import jensen
from jensen.run.journal import Journal

RUNS, STACK, WORKERS = 800, 4, 4
LONGEST = 0.4  # seconds between kills
RNG = Random(0)
SCRIPT = (
    "import sys; sys.path[:0] = [{here!r}]; from campaign_census import census; census({path!r}, 'processes:{workers}')"
)


def census(path: str, engine: str) -> jensen.Minima:
    """Where 800 descents on a cost of two wells by three end."""
    cost = jensen.Cost.of(lambda x, y: (x * x - 1) ** 2 + (y * y - 1) ** 2 * (y * y + x / 3 + 1), x=0.0, y=0.0)
    options = {"optimiser": "gd", "step": 0.01, "steps": 100, "stack": STACK, "compiled": False, "threads": 1}
    return jensen.minima(cost, RUNS, engine=engine, journal=path, **options)


def start(path: Path) -> subprocess.Popen[bytes]:
    """A driver in a process group of its own; what it and its workers say goes to a file beside the journal."""
    script = SCRIPT.format(here=str(Path(__file__).parent), path=str(path), workers=WORKERS)
    with words(path).open("ab") as out:
        return subprocess.Popen([sys.executable, "-c", script], start_new_session=True, stderr=out)


def words(path: Path) -> Path:
    """Where drivers of a journal complain: what a killed one leaves there means nothing."""
    return path.with_suffix(".stderr")


def stop_if_failed(path: Path, drivers: list[subprocess.Popen[bytes]]) -> None:
    """A driver that ends with an error before anybody killed it will always do so: say why, and stop."""
    if any((d.poll() or 0) > 0 for d in drivers):
        for d in drivers:
            kill(d, "all")
        raise SystemExit(f"a driver failed by itself:\n{words(path).read_text(errors='replace')[-4000:]}")


def kill(driver: subprocess.Popen[bytes], how: str) -> bool:
    """The driver alone; its workers with it; or one worker. False where there was none: it has just ended by itself."""
    with suppress(ProcessLookupError, FileNotFoundError):
        return _kill(driver, how)
    return False


def _kill(driver: subprocess.Popen[bytes], how: str) -> bool:
    if driver.poll() is not None:
        return False
    if how == "all":
        os.killpg(driver.pid, signal.SIGKILL)
    elif how == "driver":
        driver.kill()
    else:
        threads = Path(f"/proc/{driver.pid}/task").glob("*/children")  # workers belong to the thread that started them
        children = [child for own in threads for child in own.read_text().split()]
        if not children:
            return False
        os.kill(int(RNG.choice(children)), signal.SIGKILL)
    return True


def lines_of(path: Path) -> list[bytes]:
    """Records in canonical order."""
    return sorted(path.read_bytes().splitlines())


def written(path: Path) -> int:
    """How many lines there are."""
    return len(lines_of(path)) if path.exists() else 0


def main(kills: int, seed: int) -> None:
    """Kill, resume, compare."""
    rng = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path, whole = Path(folder) / "run.jsonl", Path(folder) / "whole.jsonl"
        killed = {"all": 0, "driver": 0, "worker": 0}
        while sum(killed.values()) < kills:
            drivers, had = [start(path) for _ in range(1 + (rng.random() < 0.2))], written(path)
            while written(path) <= had and any(d.poll() is None for d in drivers):
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, LONGEST))
            stop_if_failed(path, drivers)
            if all(d.poll() == 0 for d in drivers):
                print(f"the census was done before {kills} kills", flush=True)
                break
            for how in ("worker", "worker", rng.choice(["all", "driver"])):
                killed[how] += sum(kill(driver, how) for driver in drivers)
                time.sleep(rng.uniform(0.0, LONGEST))
            for driver in drivers:
                driver.wait()
            print(f"{sum(killed.values())} kills, {written(path)} lines", flush=True)
        census(str(path), "processes:4")
        census(str(whole), "local")
        damaged = path.with_name(path.name + ".damaged")
        torn = len(damaged.read_bytes().splitlines()) if damaged.exists() else 0
        same = lines_of(path) == lines_of(whole)
        tensors = all(e.load() is not None for e in Journal(path).entries())
        print(
            f"{killed} killed; {len(Journal(path).read())} records, {torn} torn lines set aside, tensors whole: {tensors}"
        )
        print(f"the journal {'equals' if same else 'DIFFERS FROM'} the undisturbed one, bit for bit")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    given = [int(a) for a in sys.argv[1:]]
    main(*given, *[50, 0][len(given) :])
