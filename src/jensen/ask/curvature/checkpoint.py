"""A long solve kept on disk: one JSON file, and beside it the tensors it names; both replaced in one move.

``path`` is the JSON file. The tensors of each state go to a new file first, then the JSON file that names it is replaced
atomically, then older tensors are removed: a kill at any moment leaves a state that can be gone on from.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jensen.ask.curvature.shards import ALONE, Shard, together
from jensen.errors import Misuse
from jensen.linalg.aside import Reach
from jensen.linalg.ends import State
from jensen.linalg.krylov import Krylov
from jensen.linalg.operators import draw
from jensen.linalg.quadrature import Progress, Rule

VERSION = 1
AGREE = 1e-6
AGREE_SINGLE = 1e-3  # of float32, whose sums take another order on another machine
STREAM = 5  # of random numbers
WORDS = {"map": "its products with a vector are those of another map", "part": "the part of the Hessian"}

Tensors = dict[str, Tensor]
Loaded = tuple[State | None, Progress | None, dict[str, Any]]


def question(asked: Any, operator: Any) -> dict[str, Any]:
    """What is asked, and of which map, as plain data.

    Value and gradient are those of the Hessian's parts too, and alike at symmetric points: one product tells maps apart.

    Args:
        asked: The options, a dataclass.
        operator: A counted map.
    """
    inner = operator.inner
    out = {f.name: getattr(asked, f.name) for f in fields(asked) if f.name not in ("memory", "every")}
    out = {name: list(v) if isinstance(v, tuple) else v for name, v in out.items()}
    out |= {"n": operator.n, "dtype": str(operator.dtype)}
    point = getattr(inner, "point", None)
    out |= {"part": getattr(point, "part", None), "blocks": list(getattr(point, "asked", ()))}
    whole = hasattr(inner, "value") and hasattr(inner, "gradient")
    out |= {"value": float(inner.value) if whole else None}
    out |= {"gradient": float(inner.gradient.norm()) if whole else None}
    return out | {"map": _fingerprint(operator)}


def _fingerprint(operator: Any) -> list[float]:
    """The length of the product with one random vector, and its components along that and along another."""
    directions = draw(operator, 2, STREAM)
    directions = directions / directions.norm(dim=0)
    image = operator @ directions[:, :1]
    return [float(image.norm()), *(float(t) for t in (directions.T @ image)[:, 0])]


def _rounding(question: Mapping[str, Any]) -> float:
    return AGREE_SINGLE if question.get("dtype") == str(torch.float32) else AGREE


def _alike(name: str, now: Any, then: Any, rounding: float) -> bool:
    """Whether an entry of the question is the same; numbers of the point and of the map up to rounding."""
    if name == "map" and isinstance(then, list) and len(then) == len(now):
        return all(math.isclose(a, b, abs_tol=rounding * now[0]) for a, b in zip(now, then, strict=True))
    if isinstance(now, float) and isinstance(then, (int, float)):
        return math.isclose(now, then, rel_tol=rounding if name in ("value", "gradient") else AGREE)
    return now == then


class Checkpoint:
    """Where a solve is kept, for one question.

    Args:
        path: The JSON file; None keeps nothing.
        question: What was asked, as plain data; a kept state of another question is refused.
        every: Seconds between two states.
        device: Where the solve has its vectors.
        shard: Of several processes the first one keeps the state and tells it to the others, which may not see its disk.
    """

    def __init__(
        self, path: str | PathLike[str] | None, question: Mapping[str, Any], every: float,
        device: torch.device | str = "cpu", shard: Shard = ALONE,
    ):  # fmt: skip
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise Misuse(f"checkpoint={path!r} is no path of a file")
        self.path = None if path is None else Path(path)
        self.question, self.every, self.device, self.shard = dict(question), every, device, shard
        self.saved = time.monotonic()

    def load(self) -> Loaded:
        """The kept states of both stages and the figures; nothing where nothing was kept.

        Raises:
            Misuse: Where the file belongs to another question, or cannot be read.
        """
        tensors: Tensors = {}
        figures: dict[str, Any] = {}
        if self.path is not None:
            with together(self.shard.processes):
                if self.shard.rank == 0 and self._there(self.path):
                    tensors, figures = self._read(self.path)
            tensors, figures = self.shard.gather([(tensors, figures)])[0]
        return _state(tensors, self.device), _progress(tensors, self.device), figures

    def _read(self, path: Path) -> tuple[Tensors, dict[str, Any]]:
        from safetensors.torch import load

        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            written = (path.parent / data["tensors"]).read_bytes()
            if hashlib.sha256(written).hexdigest() != data["sha256"]:
                raise ValueError("its tensors are not those that were written")
            # Cloned, which aligns them: some products differ by a bit otherwise.
            tensors = {k: t.clone() for k, t in load(written).items()}
            kept = data["version"], dict(data["question"]), data["figures"]
            figures = {"products": int(kept[2]["products"]), "seconds": float(kept[2]["seconds"])}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise Misuse(
                f"the checkpoint {path} cannot be read ({e}): name another file, or delete this one if a spectrum wrote it"
            ) from e
        self._same(kept[0], kept[1])
        return tensors, figures

    def _there(self, path: Path) -> bool:
        """Whether there is something to read; its folder is made where it is missing."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.exists()
        except OSError as e:
            raise Misuse(f"nothing can be kept at {path} ({e}); give a path in a folder that can be written to") from e

    def _same(self, version: Any, question: Mapping[str, Any]) -> None:
        if version != VERSION or set(question) != set(self.question):
            raise Misuse(f"the checkpoint {self.path} was written by another version; delete it to begin again")
        for name, now in self.question.items():
            then = question[name]
            if not _alike(name, now, then, _rounding(self.question)):
                told = "" if name == "map" else f" was {then}, now {now}"
                raise Misuse(
                    f"the checkpoint {self.path} answers another question: {WORDS.get(name, name)}{told}; "
                    f"ask as before, or give another path"
                )

    def keep(
        self, state: State | None, progress: Progress | None, figures: Mapping[str, Any], now: bool = False
    ) -> None:
        """Write a state, where the last one is old enough or ``now`` is asked. A disk that refuses ends no solve."""
        if self.path is None or self.shard.rank > 0 or (not now and time.monotonic() - self.saved < self.every):
            return
        try:
            self._write(self.path, {**_of_state(state), **_of_progress(progress)}, dict(figures))
        except OSError as e:
            warnings.warn(f"the state was not kept at {self.path} ({e}); the solve goes on", stacklevel=2)
        self.saved = time.monotonic()

    def _write(self, path: Path, tensors: Tensors, figures: dict[str, Any]) -> None:
        """Tensors first, then what refers to them, at once; what was there before goes last."""
        from safetensors.torch import save

        name = f"{path.name}.{time.time_ns()}.safetensors"
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        data = save({k: t.contiguous().cpu() for k, t in tensors.items()})
        state = {"version": VERSION, "question": self.question, "figures": figures, "tensors": name}
        try:
            (path.parent / name).write_bytes(data)
            draft.write_text(json.dumps({**state, "sha256": hashlib.sha256(data).hexdigest()}), encoding="utf-8")
            os.replace(draft, path)
        except OSError:
            for half in (path.parent / name, draft):
                half.unlink(missing_ok=True)
            raise
        for old in path.parent.glob(f"{_literal(path.name)}.*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what was kept: the answer is there."""
        if self.path is None or self.shard.rank > 0:
            return
        self.path.unlink(missing_ok=True)
        for old in self.path.parent.glob(f"{_literal(self.path.name)}.*.safetensors"):
            old.unlink(missing_ok=True)


def _literal(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _of_krylov(name: str, k: Krylov) -> Tensors:
    out = {f"{name}.basis": k.basis.clone(), f"{name}.pending": k.pending}
    out[f"{name}.projected"] = torch.from_numpy(k.projected.copy())
    out[f"{name}.coupling"] = torch.from_numpy(k.coupling.copy())
    out[f"{name}.figures"] = torch.tensor([k.noise, float(k.fresh)], dtype=torch.float64)
    return out


def _krylov(tensors: Tensors, name: str, device: Any) -> Krylov:
    noise, fresh = tensors[f"{name}.figures"].tolist()
    projected, coupling = (tensors[f"{name}.{part}"].numpy() for part in ("projected", "coupling"))
    basis, pending = (tensors[f"{name}.{part}"].to(device) for part in ("basis", "pending"))
    return Krylov(basis, projected, pending, coupling, noise, int(fresh))


def _of_state(state: State | None) -> Tensors:
    if state is None:
        return {}
    out = {**_of_krylov("ends", state.space), "ends": torch.tensor([state.sweeps])}
    if state.beyond is not None:
        out |= {"ends.lows": torch.from_numpy(state.beyond.lows), "ends.highs": torch.from_numpy(state.beyond.highs)}
    return out


def _state(tensors: Tensors, device: Any) -> State | None:
    if "ends" not in tensors:
        return None
    beyond = Reach(tensors["ends.lows"].numpy(), tensors["ends.highs"].numpy()) if "ends.lows" in tensors else None
    return State(_krylov(tensors, "ends", device), int(tensors["ends"].flatten()[0]), beyond)


def _of_progress(progress: Progress | None) -> Tensors:
    if progress is None:
        return {}
    counts = [len(progress.rules), len(progress.chains), -1 if progress.steps is None else progress.steps]
    out = {"density": torch.tensor(counts)}
    for i, rule in enumerate(progress.rules):
        out[f"rule{i}"] = torch.from_numpy(np.stack([rule.alphas, rule.betas]))
    for i, chain in enumerate(progress.chains):
        out |= _of_krylov(f"chain{i}", chain)
    return out


def _progress(tensors: Tensors, device: Any) -> Progress | None:
    if "density" not in tensors:
        return None
    rules, chains, steps = (int(c) for c in tensors["density"])
    return Progress(
        tuple(Rule(*tensors[f"rule{i}"].numpy()) for i in range(rules)),
        tuple(_krylov(tensors, f"chain{i}", device) for i in range(chains)),
        None if steps < 0 else steps,
    )
