"""Replace a stretch of layers by one linear map.

For linear layers in a row it is the same family of functions, as long as no layer between is narrower than both ends
(Baldi and Hornik, 1989: the square loss of such a network has the minima of the linear map); for layers with activations
the network becomes a linear model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import model_of, with_parts
from jensen.ask.remedies.edit import Edit, count, numbers, place
from jensen.ask.remedies.ground import Ground, maximal
from jensen.ask.remedies.sites import NORMS
from jensen.errors import Misuse
from jensen.trace import trace


@dataclass(frozen=True)
class Stretch:
    """Layers first to last of the Sequential at a path.

    Attributes:
        path: Of the Sequential.
        first, last: Positions of the first and the last linear layer.
        widths: Inputs of the first, and outputs of every linear layer.
        bias: Whether any has a bias.
        bends: How many layers between are not linear.
    """

    path: str
    first: int
    last: int
    widths: tuple[int, ...]
    bias: bool
    bends: int

    def exact(self) -> bool:
        """Whether the linear map is the same family of functions."""
        return self.bends == 0 and min(self.widths) >= min(self.widths[0], self.widths[-1])


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """Remedies that replace layers by one linear map, and why there is none."""
    if ground.function:
        return [], "the cost has no model with layers"
    stretches = list(_stretches(model_of(ground.cost)))
    if not stretches:
        return [], "the model has no Sequential with two linear layers"
    found = [r for s in stretches if not ground.late() and (r := _offer(ground, s)) is not None]
    found.sort(key=lambda r: r.size)
    return found[:1], "one linear map in place of layers makes it convex in no further set of blocks"


def _stretches(model: nn.Module) -> Iterator[Stretch]:
    """The longest stretches between two linear layers of each Sequential, and those without activations."""
    for path, module in model.named_modules():
        if type(module) is not nn.Sequential:
            continue
        runs: list[tuple[int, int]] = []
        for stop_at_bends in (True, False):
            runs += [r for r in _runs(module, stop_at_bends) if r not in runs]
        yield from (_stretch(path, module, first, last) for first, last in runs)


def _runs(module: nn.Sequential, stop_at_bends: bool) -> Iterator[tuple[int, int]]:
    """First and last linear layers of runs that hold at least two."""
    linear: list[int] = []
    for i, layer in enumerate([*module, None]):
        if isinstance(layer, nn.Linear):
            linear.append(i)
        elif not (layer is not None and (_plain(layer) or (not stop_at_bends and _bend(layer)))):
            if len(linear) > 1:
                yield linear[0], linear[-1]
            linear = []


def _plain(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Identity) or (isinstance(layer, nn.modules.dropout._DropoutNd) and not layer.training)


def _bend(layer: nn.Module) -> bool:
    return isinstance(layer, NORMS) or type(layer).__module__ == "torch.nn.modules.activation"


def _stretch(path: str, module: nn.Sequential, first: int, last: int) -> Stretch:
    between = [module[i] for i in range(first, last + 1)]
    linear = [m for m in between if isinstance(m, nn.Linear)]
    widths = (linear[0].in_features, *(m.out_features for m in linear))
    bends = sum(not isinstance(m, nn.Linear) and not _plain(m) for m in between)
    return Stretch(path, first, last, widths, any(m.bias is not None for m in linear), bends)


def _offer(ground: Ground, s: Stretch) -> Remedy | None:
    model = model_of(ground.cost)
    home = model.get_submodule(s.path)
    if not isinstance(home, nn.Sequential):
        return None
    target = place(model, s.path)
    home[s.first] = _product(home, s)
    del home[s.first + 1 : s.last + 1]
    try:
        cost = with_parts(ground.cost, model=model)
        problem = trace(cost).problem
    except Misuse:
        return None
    whole = ".".join([*([s.path] if s.path else []), str(s.first), "weight"])
    blocks = next((names for names in maximal(problem, ground.inside(problem)) if whole in names), None)
    if blocks is None:
        return None
    code = (
        f"{target}[{s.first}] = torch.nn.Linear({s.widths[0]}, {s.widths[-1]}, bias={s.bias})",
        f"del {target}[{s.first + 1}:{s.last + 1}]",
    )
    words = f"one linear map in place of the layers {s.first} to {s.last}{' of ' + s.path if s.path else ''}"
    price = _price(ground, s, count(problem, problem.blocks))
    return ground.offer(Edit("collapse", words, price, float(s.last - s.first), code), problem, blocks, cost=cost)


def _price(ground: Ground, s: Stretch, left: int) -> str:
    had = f"{numbers(left)} in place of {count(ground.problem, ground.names):,}"
    if s.bends:
        return f"the network's bends are lost ({s.bends} of the layers {'is' if s.bends == 1 else 'are'} not linear): {had}"
    if s.exact():
        return f"the same family of functions: {had}; a penalty on the layers is another one on their product"
    return f"a larger family of functions: the layers' width of {min(s.widths)} bounded the rank of the product: {had}"


def _product(home: nn.Sequential, s: Stretch) -> nn.Linear:
    """One linear layer that does what the linear layers of the stretch do in a row."""
    linear = [m for m in list(home)[s.first : s.last + 1] if isinstance(m, nn.Linear)]
    weight = linear[0].weight
    new = nn.Linear(s.widths[0], s.widths[-1], bias=s.bias, dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        product, shift = weight.double(), linear[0].bias
        offset = torch.zeros(len(product), dtype=torch.float64) if shift is None else shift.double()
        for layer in linear[1:]:
            matrix = layer.weight.double()
            product, offset = matrix @ product, matrix @ offset
            offset = offset if layer.bias is None else offset + layer.bias.double()
        new.weight.copy_(product)
        if new.bias is not None:
            new.bias.copy_(offset)
    return new
