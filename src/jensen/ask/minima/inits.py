"""Where runs start: a point for each, from its own random numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from jensen.ask.minima.spec import Spec
from jensen.copies import copied
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.linalg.flat import Flat
from jensen.parts import FunctionPart


def starts(cost: Cost, spec: Spec, runs: Iterable[int]) -> Tensor:
    """Points (k, n) in float64 on the CPU.

    Raises:
        Misuse: Where a module cannot initialise itself, or the caller's function gives no point.
    """
    flat = Flat(cost.blocks)
    modules = _modules(cost) if spec.init == "default" and not isinstance(cost._private, FunctionPart) else None
    return torch.stack([_start(cost, spec, flat, modules, run) for run in runs])


def generator(seed: int, run: int, stream: str = "init") -> torch.Generator:
    """Random numbers of one run, whatever the other runs are."""
    digest = hashlib.sha256(f"{stream} {seed} {run}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _start(cost: Cost, spec: Spec, flat: Flat, modules: nn.Module | None, run: int) -> Tensor:
    numbers = generator(spec.seed, run)
    if callable(spec.init):
        return flat.join(_given(cost, spec.init(numbers)))
    if modules is not None:
        return flat.join(_reset(cost, modules, numbers))
    if spec.init == "uniform":
        return spec.scale * (2 * torch.rand(flat.n, generator=numbers, dtype=torch.float64) - 1)
    return spec.scale * torch.randn(flat.n, generator=numbers, dtype=torch.float64)


def _given(cost: Cost, values: Any) -> dict[str, Tensor]:
    """What the caller's function gave; missing blocks start at their current values."""
    if not isinstance(values, Mapping):
        raise Misuse(f"init returned {type(values).__name__}; it must return a dict of blocks, {{name: tensor}}")
    for name, value in values.items():
        shape = tuple(torch.as_tensor(value).shape)
        if name not in cost.blocks or shape != cost.blocks[name]:
            wanted = cost.blocks.get(name, "no such block")
            raise Misuse(f"init returned {name!r} of shape {shape}; the cost has {wanted} ({', '.join(cost.blocks)})")
    theta = cost.theta
    return {n: torch.as_tensor(values.get(n, theta[n])).detach().to("cpu", torch.float64) for n in cost.blocks}


def _modules(cost: Cost) -> nn.Module:
    """A copy of the model whose every asked parameter its module can reset."""
    model = copied(cost._private)
    covered = {id(p) for m in model.modules() if _resetter(m) for p in m.parameters(recurse=_whole(m))}
    named = dict(model.named_parameters(remove_duplicate=False))
    bare = [n for n in cost.blocks if id(named[cost._names[n]]) not in covered]
    if bare:
        raise Misuse(
            f"no module resets {bare[0]!r} (it has no reset_parameters): give init='normal', 'uniform', or a function"
        )
    return model


def _resetter(module: nn.Module) -> Any:
    found = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    return found if callable(found) else None


def _whole(module: nn.Module) -> bool:
    """Whether a module resets its children's parameters too."""
    return not callable(getattr(module, "reset_parameters", None))


def _reset(cost: Cost, model: nn.Module, numbers: torch.Generator) -> dict[str, Tensor]:
    seed = int(torch.randint(2**62, (), generator=numbers))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in model.modules():
            reset = _resetter(module)
            if reset is not None:
                reset()
    named = dict(model.named_parameters(remove_duplicate=False))
    return {n: named[cost._names[n]].detach().to("cpu", torch.float64, copy=True) for n in cost.blocks}
