"""Where a model has activations, normalisations and pooling that could be exchanged, and for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from jensen.ask.remedies.edit import place
from jensen.ask.remedies.ground import Ground
from jensen.ask.remedies.surgery import bypass, inside, rewired
from jensen.kernel.program import Node, Program, Ref
from jensen.trace import trace

RELU = "aten.relu.default"
CURVES = {
    f"aten.{name}.default"
    for name in ("tanh", "sigmoid", "relu", "hardtanh", "leaky_relu", "elu", "celu", "silu", "gelu", "mish", "softplus")
} | {
    f"aten.{name}.default" for name in ("hardsigmoid", "hardswish", "log_sigmoid", "erf", "atan", "sin", "cos", "prelu")
} | {"jensen.softsign", "jensen.tanhshrink", "jensen.softshrink", "jensen.hardshrink", "jensen.softplus"}  # fmt: skip
RISING = {"aten.relu.default", "aten.elu.default", "aten.leaky_relu.default"}

NORMS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.CrossMapLRN2d,
)  # fmt: skip
BATCH = nn.modules.batchnorm._BatchNorm
POOLS = {nn.MaxPool1d: nn.AvgPool1d, nn.MaxPool2d: nn.AvgPool2d, nn.MaxPool3d: nn.AvgPool3d}
FUSED = "activation_relu_or_gelu"  # what torch's encoder layers, fused in evaluation, go by
NOT_ELEMENTWISE = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.Softmin, nn.LogSoftmax, nn.GLU)


@dataclass(frozen=True)
class Site:
    """One place where something can be exchanged.

    Attributes:
        path: The module's path in the model; for a call inside a module's forward, that module's path.
        what: ``activation``, ``normalisation`` or ``pooling``.
        name: The class's or function's name.
        node: For a call inside a forward: the node's name in the program. Empty for a module of its own.
        order: Where the program reaches it.
        rising: Whether it is convex and non-decreasing as it is.
        batch: Whether it normalises with the statistics of the batch.
    """

    path: str
    what: str
    name: str
    node: str = ""
    order: int = 0
    rising: bool = False
    batch: bool = False

    def words(self) -> str:
        """The place in words."""
        return (
            f"the call of {self.name} in {self.path or 'the function'}" if self.node else f"{self.name} ({self.path})"
        )


def find(ground: Ground) -> list[Site]:
    """All places, from the output back to the input."""
    program = ground.problem.terms[0].program
    roles = (trace(ground.cost).roles or ((),))[0] or [""] * len(program.nodes)
    modules = {} if ground.function else dict(ground.cost._model.named_modules(remove_duplicate=False))
    sites = [s for path, m in modules.items() if path and (s := _module(path, m, program)) is not None]
    taken = [s.path for s in sites]
    sites += [
        Site(node.module, "activation", _short(node), node.name, i, node.op in RISING)
        for i, node in enumerate(program.nodes)
        if node.op in CURVES and roles[i] not in ("loss", "penalty") and not any(inside(node, p) for p in taken)
    ]
    return sorted(sites, key=lambda s: -s.order)


def _short(node: Node) -> str:
    return node.op.split(".")[1]


def _module(path: str, module: nn.Module, program: Program) -> Site | None:
    nodes = [i for i, n in enumerate(program.nodes) if inside(n, path) and n.op not in ("block", "const")]
    ops = {program.nodes[i].op for i in nodes}
    what, order = _what(module, ops), max(nodes, default=-1)
    if what is None or order < 0:
        return None
    batch = isinstance(module, BATCH) and (module.training or module.running_mean is None)
    return Site(path, what, type(module).__name__, "", order, ops <= RISING, batch)


def _what(module: nn.Module, ops: set[str]) -> str | None:
    """What a module can be exchanged as; the user's own activations are modules without parameters around one."""
    if isinstance(module, NORMS):
        return "normalisation"
    if type(module) in POOLS:
        return "pooling"
    if type(module).__module__ == "torch.nn.modules.activation":
        return None if isinstance(module, NOT_ELEMENTWISE) else "activation"
    bare = not any(True for _ in module.parameters()) and not any(True for _ in module.children())
    return "activation" if bare and ops & CURVES else None


def edited(program: Program, sites: tuple[Site, ...], curve: str) -> Program | None:
    """The program with the sites exchanged: activations for ``identity`` or ``relu``, norms dropped, means for maxima."""
    alias: dict[int, int] = {}
    swap: dict[int, tuple[str, tuple[Any, ...]]] = {}
    for site in sites:
        nodes = [i for i, n in enumerate(program.nodes) if _here(n, site)]
        if not nodes:
            return None
        if site.what == "pooling":
            if not _averages(program, nodes, swap):
                return None
        elif site.what == "activation" and all(program.nodes[i].op in CURVES for i in nodes):
            for i in nodes:
                source = program.nodes[i].args[0]
                if curve == "relu":
                    swap[i] = (RELU, (source,))
                else:
                    alias[i] = source.index
        else:
            ways = bypass(program, site.path)
            if ways is None:
                return None
            alias.update(ways if curve == "identity" or site.what == "normalisation" else {})
            if curve == "relu" and site.what == "activation":
                swap.update({i: (RELU, (Ref(j),)) for i, j in ways.items()})
    return rewired(program, alias, swap)


def _here(node: Node, site: Site) -> bool:
    if node.op in ("block", "const"):
        return False
    return node.name == site.node if site.node else inside(node, site.path)


def _averages(program: Program, nodes: list[int], swap: dict[int, tuple[str, tuple[Any, ...]]]) -> bool:
    """Mean pooling in place of maximum pooling; False where it was called with a dilation or with rounding up."""
    for i in nodes:
        op, args = program.nodes[i].op, program.nodes[i].args
        if "max_pool" not in op or len(args) > 4:
            return False
        swap[i] = (op.replace("max_pool", "avg_pool"), args)
    return bool(nodes)


def rebuild(model: nn.Module, sites: tuple[Site, ...], curve: str, batch_eval: bool) -> list[str]:
    """Exchange the sites in a copy of the model, and give the code that does it to the user's own.

    Raises:
        AttributeError: Where a module cannot be replaced by name, or a call stands in the code of a forward.
    """
    code: list[str] = []
    calls: set[tuple[str, str]] = set()
    for site in sites:
        if site.node:
            if (site.path, site.name) not in calls:  # one attribute may be called several times
                code += _call(model, site, curve)
                calls.add((site.path, site.name))
            continue
        old = model.get_submodule(site.path)
        if batch_eval and site.batch and getattr(old, "running_mean", None) is not None:
            old.eval()
            code.append(f"{place(model, site.path)}.eval()")
            continue
        new, text = _replacement(old, site, curve)
        code.append(f"{place(model, site.path)} = {text}")
        model.set_submodule(site.path, new)
    return code


def _call(model: nn.Module, site: Site, curve: str) -> list[str]:
    """Exchange a function that a module keeps as an attribute, as torch's transformer layers keep their activation."""
    home = model.get_submodule(site.path)
    name = next((k for k, v in vars(home).items() if callable(v) and getattr(v, "__name__", "") == site.name), None)
    if name is None:
        raise AttributeError(f"{site.name} is called in the code of {site.path or 'the model'}")
    new, text = _replacement(None, site, curve)
    setattr(home, name, new)
    code = [f"{place(model, site.path)}.{name} = {text}"]
    if hasattr(home, FUSED):
        setattr(home, FUSED, 0)
        code.append(f"{place(model, site.path)}.{FUSED} = 0")
    return code


def _replacement(old: Any, site: Site, curve: str) -> tuple[nn.Module, str]:
    if site.what == "pooling":
        new = POOLS[type(old)]
        size = (old.kernel_size, old.stride, old.padding)
        return new(*size), f"torch.nn.{new.__name__}({', '.join(map(repr, size))})"
    if curve == "relu" and site.what == "activation":
        return nn.ReLU(), "torch.nn.ReLU()"
    return nn.Identity(), "torch.nn.Identity()"
