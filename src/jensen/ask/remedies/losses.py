"""Exchange a loss that is not convex in the network's outputs: for one that is, on the values before the last activation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function, model_of, with_parts
from jensen.ask.remedies.ground import Ground, maximal, news, proof
from jensen.ask.remedies.words import frozen_price, keep, place, share, varying
from jensen.cost import Cost, _apply_loss, _apply_model
from jensen.errors import Misuse
from jensen.kernel.check import Claim

HEADS = (nn.Sigmoid, nn.Softmax, nn.LogSoftmax, nn.LogSigmoid, nn.Tanh, nn.Softplus, nn.ReLU, nn.Hardsigmoid)
CALLS = {torch.sigmoid, torch.Tensor.sigmoid, torch.special.expit, torch.softmax, torch.Tensor.softmax} | {
    torch.tanh, torch.Tensor.tanh, nn.functional.sigmoid, nn.functional.softmax, nn.functional.tanh,
    nn.functional.log_softmax, torch.log_softmax, torch.Tensor.log_softmax, nn.functional.hardsigmoid,
}  # fmt: skip
NEAR = 0.01  # the size of a change that leaves the function as it was, but for a numerical constant


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
    """The remedy that exchanges the loss, and why there is none."""
    if is_function(ground.cost):
        return [], "the cost has no loss apart from its model that could be exchanged"
    if _convex_in_outputs(ground.cost):
        return [], "the loss is already convex in the network's outputs"
    best: Remedy | None = None
    for variant in _variants(ground.cost):
        if ground.late():
            break
        remedy = _remedy(ground, variant)
        if remedy is not None and (best is None or remedy.size < best.size):
            best = remedy
    return ([best] if best else []), "no loss that fits the targets makes it convex in a further set of blocks"


def _remedy(ground: Ground, variant: Variant) -> Remedy | None:
    from jensen.trace import trace

    try:
        cost = with_parts(ground.cost, model=variant.model, loss=variant.loss)
        problem = trace(cost).problem
    except Misuse:
        return None
    blocks = news(ground, maximal(problem, ground.within))
    within = {n: b for n, b in ground.within.items() if n in problem.blocks}
    finding = None if blocks is None else proof(problem, Claim("convex", blocks, within))
    if blocks is None or finding is None:
        return None
    frozen = tuple(n for n in problem.blocks if n not in blocks)
    name = _code(variant.loss)
    code = [*variant.code, *([keep(blocks, False)] if frozen else []), _new_cost(ground.cost, name)]
    change = f"{name.removeprefix('torch.nn.')} in place of {_name(ground.cost)}{variant.words}; {varying(blocks, problem)}"
    price = f"{_price(variant)}, and {frozen_price(problem, frozen)}"
    size = variant.size + share(problem, frozen)
    return Remedy("loss", change, price, size, blocks, "\n".join(code), finding, frozen, {}, cost)


def _price(variant: Variant) -> str:
    if variant.size == NEAR:
        return "the same function, but for the clamp of the logarithm at -100"
    return "another loss is minimised"


def _name(cost: Cost) -> str:
    loss = cost._loss
    return type(loss).__name__ if isinstance(loss, nn.Module) else getattr(loss, "__name__", "the loss")


def _code(loss: nn.Module) -> str:
    sums = getattr(loss, "reduction", "mean") == "sum"
    return f"torch.nn.{type(loss).__name__}({'reduction=' + repr('sum') if sums else ''})"


def _new_cost(cost: Cost, loss: str) -> str:
    extra = ", penalty=penalty" if cost._penalty is not None else ""
    extra += ", weight=weight" if cost._weight is not None else ""
    return f"cost = jensen.Cost(model, {loss}, data{extra})"


# -- is the loss to blame? -----------------------------------------------------------------------------------------


def first(cost: Cost) -> tuple[Any, Any, Any]:
    """Input, target and output of the first chunk."""
    cost._sync()
    x, y = pytree.tree_unflatten(list(cost._chunks[0].tensors), cost._chunks[0].spec)
    with torch.no_grad():
        return x, y, _apply_model(cost._private, x)


def _convex_in_outputs(cost: Cost) -> bool:
    """Whether the loss of the first chunk is proved convex as a function of the outputs."""
    from jensen.trace import trace

    _, y, out = first(cost)
    if not isinstance(out, Tensor) or not out.is_floating_point():
        return False
    loss = cost._private_loss
    try:
        problem = trace(Cost.of(lambda out: _apply_loss(loss, out, y), out=out)).problem
    except Misuse:
        return False
    return proof(problem, Claim("convex", ("out",), {}), ("rules",)) is not None


# -- what could take its place -------------------------------------------------------------------------------------


def _variants(cost: Cost) -> Iterator[Variant]:
    """Losses on the values before the last activation first, then on the outputs."""
    x, y, out = first(cost)
    if not isinstance(out, Tensor):
        return
    for model, words, code in (_headless_module(cost, x), _headless_call(cost, x), (model_of(cost), "", [])):
        if model is None:
            continue
        clamped = isinstance(cost._loss, nn.BCELoss) and bool(words) and "igmoid" in words
        for loss in _losses(out, y, cost._reduction):
            same = clamped and isinstance(loss, nn.BCEWithLogitsLoss)
            yield Variant(model, loss, words, code, NEAR if same else 1.0)
        if words:
            return


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


Headless = tuple["nn.Module | None", str, list[str]]


def _headless_module(cost: Cost, x: Any) -> Headless:
    """The model without the module that gives its output, where that is an activation."""
    model = model_of(cost)
    last: list[tuple[str, Tensor]] = []
    hooks = [
        m.register_forward_hook(lambda _m, _i, out, p=path: last.append((p, out)))
        for path, m in model.named_modules()
        if path and isinstance(m, HEADS)
    ]
    try:
        with torch.no_grad():
            out = _apply_model(model.to(cost._dtype), x)
    finally:
        for hook in hooks:
            hook.remove()
    path = next((p for p, t in last if t is out), None)
    if path is None:
        return None, "", []
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
        if func not in CALLS:
            return func(*args, **(kwargs or {}))
        out = args[0] if len(self.seen) == self.skip else func(*args, **(kwargs or {}))
        self.seen.append((out, func.__name__))
        return out


def _headless_call(cost: Cost, x: Any) -> Headless:
    """The model without the call that gives its output, where that is an activation in its forward."""
    with torch.no_grad(), Recorder() as calls:
        out = _apply_model(cost._private, x)
    k = next((i for i, (t, _) in enumerate(calls.seen) if t is out), None)
    if k is None:
        return None, "", []
    name, model = calls.seen[k][1], model_of(cost)
    kind: Any = type(model)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        with Recorder(k):
            return kind.forward(self, *args, **kwargs)

    model.__class__ = type(kind.__name__, (kind,), {"forward": forward})  # keeps the names of the blocks
    return model, f", on the values before {name}", [f"# in the forward of model: return x in place of {name}(x)"]
