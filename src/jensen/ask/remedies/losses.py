"""Exchange a loss that is not convex in the network's outputs: for one that is, on the values before the last activation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from jensen.ask.remedies import exchange, linearise
from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import arguments, model_of, with_parts
from jensen.ask.remedies.edit import Edit, place
from jensen.ask.remedies.ground import Ground, maximal, proof
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.check import Claim
from jensen.kernel.program import Problem
from jensen.parts import apply_loss, apply_model
from jensen.trace import trace

HEADS = (nn.Sigmoid, nn.Softmax, nn.LogSoftmax, nn.LogSigmoid, nn.Tanh, nn.Softplus, nn.ReLU, nn.Hardsigmoid)
CALLS = {torch.sigmoid, torch.Tensor.sigmoid, torch.special.expit, torch.softmax, torch.Tensor.softmax} | {
    torch.tanh, torch.Tensor.tanh, nn.functional.sigmoid, nn.functional.softmax, nn.functional.tanh,
    nn.functional.log_softmax, torch.log_softmax, torch.Tensor.log_softmax, nn.functional.hardsigmoid,
}  # fmt: skip
NEAR = 0.01  # the size of a change that leaves the function as it was, but for a numerical constant


Headless = tuple[nn.Module, str, list[str]]


@dataclass(frozen=True)
class Variant:
    """The cost with another loss.

    Attributes:
        model: The model without its last activation, or as it was.
        loss: The new loss.
        words: What was dropped, in words; empty where nothing was.
        code: The edit of the model.
        size: How much changes.
    """

    model: nn.Module
    loss: nn.Module
    words: str
    code: list[str]
    size: float


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """Remedies that exchange the loss, alone or with a second change, and why there is none."""
    if ground.function:
        return [], "the cost has no loss apart from its model that could be exchanged"
    if not isinstance(first(ground.cost)[2], Tensor):
        return [], "the network's output is no single tensor, so that no loss could take its place"
    headless = _headless(ground.cost)
    if headless is None and _convex_in_outputs(ground.cost):
        return [], "the loss is already convex in the network's outputs"
    changes: list[Change] = []
    for variant in _variants(ground.cost, headless):
        if ground.late():
            break
        change = _change(ground, variant)
        changes += [change] if change is not None else []
    if not changes:
        return [], "no convex loss fits the outputs and the targets"
    best = min(changes, key=lambda c: c.remedy.size if c.remedy is not None else inf)
    found = [best.remedy] if best.remedy is not None else []
    if best.remedy is None or best.remedy.frozen:
        found += _second(ground, best)
    return found, "with another loss, it is convex in no further set of blocks, even with a second change"


@dataclass(frozen=True)
class Change:
    """A cost with another loss, and the remedy that it is by itself, if it is one."""

    edit: Edit
    cost: Cost
    problem: Problem
    remedy: Remedy | None


def _change(ground: Ground, variant: Variant) -> Change | None:
    try:
        cost = with_parts(ground.cost, model=variant.model, loss=variant.loss)
        problem = trace(cost).problem
    except Misuse:
        return None
    blocks, edit = ground.news(problem), _edit(ground, variant)
    return Change(edit, cost, problem, None if blocks is None else ground.offer(edit, problem, blocks, cost=cost))


def _second(ground: Ground, first: Change) -> list[Remedy]:
    """Another loss, and then an exchange of operations or a linearisation of the network."""
    within = ground.inside(first.problem)
    sets = maximal(first.problem, within)
    done = ground.done.then(first.edit)
    then = replace(ground, cost=first.cost, problem=first.problem, maximal=sets, within=within, done=done)
    return [r for kind in (exchange, linearise) if not then.late() for r in kind.search(then)[0]]


def _edit(ground: Ground, variant: Variant) -> Edit:
    code = _code(variant.loss)
    words = f"{code.removeprefix('torch.nn.')} in place of {_name(ground.cost)}{variant.words}"
    same = variant.size == NEAR
    price = "the same function, but for the clamp of the logarithm at -100" if same else "another loss is minimised"
    return Edit("loss", words, price, variant.size, tuple(variant.code), (_new_cost(ground.cost, code),))


def _name(cost: Cost) -> str:
    loss = cost._loss
    name = type(loss).__name__ if isinstance(loss, nn.Module) else getattr(loss, "__name__", "<none>")
    return "the loss" if name.startswith("<") else name


def _code(loss: nn.Module) -> str:
    sums = getattr(loss, "reduction", "mean") == "sum"
    return f"torch.nn.{type(loss).__name__}({'reduction=' + repr('sum') if sums else ''})"


def _new_cost(cost: Cost, loss: str) -> str:
    extra = ", penalty=penalty" if cost._penalty is not None else ""
    return f"cost = jensen.Cost(model, {loss}, data{extra}{arguments(cost)})"


# -- is the loss to blame? -----------------------------------------------------------------------------------------


def first(cost: Cost) -> tuple[Any, Any, Any]:
    """Input, target and output of the first chunk."""
    cost._sync()
    x, y = pytree.tree_unflatten(list(cost._chunks[0].tensors), cost._chunks[0].spec)
    with torch.no_grad():
        return x, y, apply_model(cost._private, x)


def _convex_in_outputs(cost: Cost) -> bool:
    """Whether the loss of the first chunk is proved convex as a function of the outputs."""
    _, y, out = first(cost)
    loss = cost._private_loss
    try:
        problem = trace(Cost.of(lambda out: apply_loss(loss, out, y), out=out)).problem
    except Misuse:
        return False
    return proof(problem, Claim("convex", ("out",), {}), ("rules",)) is not None


# -- what could take its place -------------------------------------------------------------------------------------


def _variants(cost: Cost, headless: Headless | None) -> Iterator[Variant]:
    """Losses on the values before the last activation; on the outputs where there is none."""
    _, y, out = first(cost)
    model, words, code = headless or (model_of(cost), "", [])
    clamped = isinstance(cost._loss, nn.BCELoss) and "igmoid" in words
    for loss in _losses(out, y, cost._reduction):
        same = clamped and isinstance(loss, nn.BCEWithLogitsLoss)
        if headless is None or type(loss) is not type(cost._loss):
            yield Variant(model, loss, words, code, NEAR if same else 1.0)


def _losses(out: Tensor, y: Any, reduction: str) -> list[nn.Module]:
    """Convex losses that fit the shapes and values of the targets, the closest in meaning first."""
    if not isinstance(y, Tensor):
        return []
    if not y.is_floating_point():
        fits = out.dim() > 1 and tuple(y.shape) == (out.shape[0], *out.shape[2:])
        return [nn.CrossEntropyLoss(reduction=reduction)] if fits and y.dtype != torch.bool else []
    if y.shape != out.shape:
        return []
    found: list[nn.Module] = []
    if bool(((y >= 0) & (y <= 1)).all()):
        shares = y.dim() > 1 and y.shape[1] > 1 and bool(((y.sum(1) - 1).abs() < 1e-6).all())
        found = [nn.CrossEntropyLoss(reduction=reduction)] if shares else []
        found.append(nn.BCEWithLogitsLoss(reduction=reduction))
    return [*found, nn.MSELoss(reduction=reduction)]


def _headless(cost: Cost) -> Headless | None:
    """The model without the activation that gives its output, in words, and the edit; None where there is none."""
    x, _, _ = first(cost)
    return _headless_module(cost, x) or _headless_call(cost, x)


def _headless_module(cost: Cost, x: Any) -> Headless | None:
    """The model without the module that gives its output, where that is an activation."""
    model = model_of(cost)
    last: list[tuple[str, Any]] = []

    def note(path: str) -> Any:
        return lambda module, inputs, out: last.append((path, out))

    hooks = [m.register_forward_hook(note(path)) for path, m in model.named_modules() if path and isinstance(m, HEADS)]
    try:
        with torch.no_grad():
            out = apply_model(model.to(cost._dtype), x)
    finally:
        for hook in hooks:
            hook.remove()
    path = next((p for p, t in last if t is out), None)
    if path is None:
        return None
    fresh = model_of(cost)
    code, name = place(fresh, path), type(fresh.get_submodule(path)).__name__
    fresh.set_submodule(path, nn.Identity())
    return fresh, f", on the values before {name} ({path})", [f"{code} = torch.nn.Identity()"]


class Recorder(TorchFunctionMode):
    """Notes calls of activations, and lets the one with a given number return its argument."""

    def __init__(self, skip: int = -1):
        super().__init__()
        self.skip = skip
        self.seen: list[tuple[Any, str]] = []

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in CALLS or not args:
            return func(*args, **(kwargs or {}))
        out = args[0] if len(self.seen) == self.skip else func(*args, **(kwargs or {}))
        self.seen.append((out, func.__name__))
        return out


def _headless_call(cost: Cost, x: Any) -> Headless | None:
    """The model without the call that gives its output, where that is an activation in its forward."""
    with torch.no_grad(), Recorder() as calls:
        out = apply_model(cost._private, x)
    k = next((i for i, (t, _) in enumerate(calls.seen) if t is out), None)
    if k is None:
        return None
    name, model = calls.seen[k][1], model_of(cost)
    kind: Any = type(model)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        with Recorder(k):
            return kind.forward(self, *args, **kwargs)

    model.__class__ = type(kind.__name__, (kind,), {"forward": forward})  # keeps the names of the blocks
    return model, f", on the values before {name}", [f"# in the forward of model: return x in place of {name}(x)"]
