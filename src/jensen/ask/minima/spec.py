"""How the runs of a census are made: optimiser, initialisation, when to stop; as data that a journal can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from jensen.errors import Misuse
from jensen.linalg.devices import device_of

OPTIMISERS = {"adam": 1e-2, "sgd": 0.05, "gd": 0.1, "lbfgs": 1.0}  # and their steps
INITS = ("default", "normal", "uniform")
POLISHES = ("minimum", "saddle", None)
MEASURES = ("norm", "largest row")


@dataclass(frozen=True)
class Spec:
    """How each run is made.

    Attributes:
        optimiser: adam, sgd (with momentum), gd (gradient descent with the stated step) or lbfgs.
        step: The learning rate; by default the optimiser's usual one.
        momentum: Of sgd.
        steps: The most steps of the training.
        batch: Rows of a minibatch, the same ones in the same order for every copy; None takes all data.
        init: "default" (the modules' own reset_parameters; standard normal for a cost that is a function), "normal",
            "uniform", or a callable of a torch.Generator that returns {block: tensor}.
        scale: The standard deviation of "normal", the half-width of "uniform".
        stop: A copy leaves the stack when its gradient's size is at most this; None: 1e-6 of its first one.
        stop_on: The gradient's size: its Euclidean "norm", or the "largest row" of any block.
        epsilon: The gradient's norm that counts as stationary where steps to a stationary point are reported.
        polish: "minimum" (downhill to a minimum), "saddle" (to the nearest critical point of any index), or None.
        polish_steps: The most second-order steps.
        lower: A number that J is never below; None: what the program's ranges show.
        symmetries: How many zero modes symmetry explains: a number or an object with ``dimension``.
        seed: Of the census; a run's numbers depend on this and on its own number alone.
        dtype: Of the training, float64 or float32; what follows is in float64.
        device: Where the training runs; what follows runs there too, in float64.
        threads: torch threads in a unit; None leaves them. Bits may depend on it.
        stack: Copies in one stack, which is also one unit of work; None lets ``plan`` choose.
        compiled: Whether torch.compile runs the gradient; None lets ``plan`` choose.
    """

    optimiser: str = "adam"
    step: float | None = None
    momentum: float = 0.9
    steps: int = 2000
    batch: int | None = None
    init: str | Callable[..., Any] = "default"
    scale: float = 1.0
    stop: float | None = None
    stop_on: str = "norm"
    epsilon: float = 1e-3
    polish: str | None = "minimum"
    polish_steps: int = 200
    lower: float | None = None
    symmetries: Any = None
    seed: int = 0
    dtype: str = "float64"
    device: str = "cpu"
    threads: int | None = None
    stack: int | None = None
    compiled: bool | None = None

    @property
    def rate(self) -> float:
        """The learning rate."""
        return OPTIMISERS[self.optimiser] if self.step is None else float(self.step)

    @property
    def zero_modes(self) -> int:
        """How many zero modes symmetry explains."""
        return int(getattr(self.symmetries, "dimension", self.symmetries) or 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; a callable ``init`` is its name, so that a journal can tell another one."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        out["symmetries"] = None if self.symmetries is None else self.zero_modes
        if not isinstance(self.init, str):
            home = getattr(self.init, "__module__", "?")
            out["init"] = f"{home}:{getattr(self.init, '__qualname__', type(self.init).__name__)}"
        return out


def spec(**options: Any) -> Spec:
    """How the runs are made.

    Raises:
        Misuse: For an unknown name or a value that makes no sense, with the remedy.
    """
    names = [f.name for f in fields(Spec)]
    for name in options:
        if name not in names:
            raise Misuse(f"minima has no argument {name!r}; a run has {', '.join(names)}")
    return checked(replace(Spec(), **options))


def checked(s: Spec) -> Spec:
    """The same, or a refusal."""
    _one_of("optimiser", s.optimiser, tuple(OPTIMISERS))
    _one_of("polish", s.polish, POLISHES)
    _one_of("stop_on", s.stop_on, MEASURES)
    _one_of("dtype", s.dtype, ("float64", "float32"))
    if not callable(s.init):
        _one_of("init", s.init, INITS, ", or a callable of a torch.Generator that returns {block: tensor}")
    for name in ("step", "scale", "stop"):
        value = getattr(s, name)
        if value is not None and not float(value) > 0:
            raise Misuse(f"{name}={value!r} must be positive")
    for name in ("steps", "polish_steps"):
        value = getattr(s, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Misuse(f"{name}={value!r}: it is a number of steps, 0 or more")
    for name in ("batch", "stack", "threads"):
        value = getattr(s, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            what = "of rows, 1 or more; None takes all data in every step" if name == "batch" else "of 1 or more"
            raise Misuse(f"{name}={value!r}: it is a number {what}")
    if not 0 <= s.momentum < 1:
        raise Misuse(f"momentum={s.momentum!r} must lie in [0, 1)")
    device_of(s.device)
    if s.optimiser == "lbfgs" and s.batch is not None:
        raise Misuse("lbfgs needs the full data: its line search compares values; leave batch out, or use adam or sgd")
    found = getattr(s.symmetries, "dimension", s.symmetries)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int) or found < 0):
        raise Misuse(f"symmetries={s.symmetries!r}: give the number of zero modes, or jensen.symmetries(cost)")
    return s


def _one_of(name: str, value: Any, allowed: tuple[Any, ...], more: str = "") -> None:
    if value not in allowed:
        raise Misuse(f"{name}={value!r} is none of {', '.join(repr(a) for a in allowed)}{more}")
