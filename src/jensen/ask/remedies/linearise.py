"""Train the network's first-order expansion in its parameters, at the current ones, in place of the network.

Where the loss is convex in the network's outputs, J is then convex in all parameters jointly: the model of the neural
tangent kernel and of lazy training (Jacot, Gabriel and Hongler, 2018; Chizat, Oyallon and Bach, 2019). What does not
depend on the parameters' move is evaluated and becomes the data of the new cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import attrgetter
from typing import Any

from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from jensen.ask.remedies.answer import Remedy
from jensen.ask.remedies.changed import is_function
from jensen.ask.remedies.edit import Edit
from jensen.ask.remedies.ground import Ground
from jensen.ask.remedies.tangent import Network, key
from jensen.copies import copied
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.kernel.claims.words import listing
from jensen.trace import trace

SIZE = 2.0
CODE = ("from jensen.ask.remedies.linearise import linearised", "cost = linearised(cost)")


def search(ground: Ground) -> tuple[list[Remedy], str]:
    """The remedy that linearises the network, and why there is none."""
    if ground.function:
        return [], "the cost has no model apart from its loss that could be linearised"
    cut = trace(ground.cost).detached
    if cut:
        return [], f"torch's gradient is cut in {listing(cut)}: the linearisation would not be that of the network"
    try:
        cost = linearised(ground.cost)
        problem = trace(cost).problem
    except Misuse as e:
        return [], f"the linearisation cannot be built: {e}"
    words = "train the network's linearisation at the current parameters in place of the network"
    price = "another function, which agrees with the network to first order at the current parameters"
    edit = Edit("linearise", words, price, SIZE, (), tuple(CODE))
    found = ground.offer(edit, problem, tuple(cost.blocks), cost=cost, methods=("rules",))
    return [] if found is None else [found], "the loss is not proved convex in the network's outputs"


class Tangent(nn.Module):
    """f(centre) + Df(centre) (theta - centre), from what was computed at the centre for a chunk of data.

    Its parameters are named as the network's.
    """

    def __init__(self, maps: dict[Any, fx.GraphModule], centre: dict[str, Tensor], spec: Any):
        super().__init__()
        self.maps, self.paths = maps, list(centre)
        self.assemble = lambda leaves: pytree.tree_unflatten(leaves, spec)  # copying a spec itself warns
        for k, (path, value) in enumerate(centre.items()):
            *parents, last = path.split(".")
            home: nn.Module = self
            for part in parents:
                if part not in home._modules:
                    home.add_module(part, nn.Module())
                home = home.get_submodule(part)
            home.register_parameter(last, nn.Parameter(value.clone()))
            self.register_buffer(f"centre_{k}", value.clone())

    def forward(self, *features: Tensor) -> Any:
        move = [attrgetter(p)(self) - getattr(self, f"centre_{k}") for k, p in enumerate(self.paths)]
        return self.assemble(list(self.maps[key(features)](*move, *features)))


class Features:
    """What is computed at the centre for each chunk, with its targets; for streamed data on every pass again."""

    def __init__(self, cost: Cost, network: Network):
        self.chunks, self.network = cost._chunks, network
        self.maps: dict[Any, fx.GraphModule] = {}
        self.spec: Any = None

    def __iter__(self) -> Iterator[Any]:
        for chunk in self.chunks:
            x, y = pytree.tree_unflatten(list(chunk.tensors), chunk.spec)
            features, linear, self.spec = self.network.at(x)
            self.maps.setdefault(key(features), linear)
            yield features, y


def linearised(cost: Cost) -> Cost:
    """The cost with its network replaced by the first-order expansion at the current parameters.

    Raises:
        Misuse: Where the derivative cannot be traced, or disagrees with torch's backward pass.
    """
    if is_function(cost):
        raise Misuse("this cost was made with Cost.of and has no model to linearise; use Cost(model, loss, data)")
    cost._sync()
    model = copied(cost._private)
    values = cost._values(None)
    centre = {cost._names[n]: values[n] for n in cost.blocks}
    rest = {n: t.detach() for n, t in (*model.named_parameters(), *model.named_buffers()) if n not in centre}
    rest |= {cost._names[n]: t for n, t in cost.fixed.items()}
    data = Features(cost, Network(model, centre, rest))
    pairs = list(data) if not cost.streamed else None
    for _ in data if pairs is None else ():
        pass  # the first pass finds the maps
    new = Cost(
        Tangent(data.maps, centre, data.spec), cost._loss, pairs or data, cost._penalty, cost._reduction,
        lambda x, y: 1.0, cost._dtype,
    )  # fmt: skip
    new._chunks = tuple(replace(c, weight=old.weight) for c, old in zip(new._chunks, cost._chunks, strict=True))
    return new
