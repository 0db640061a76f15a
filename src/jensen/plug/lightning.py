"""Watching a training under Lightning: ``Trainer(..., callbacks=[Watch(lambda module: cost, every=100)])``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jensen.ask.curvature.settings import check_names
from jensen.ask.curvature.shadow import made
from jensen.ask.curvature.watch import watch
from jensen.cost import Cost
from jensen.errors import Misuse
from jensen.keys import checksum

try:
    from lightning.pytorch import Callback  # pyright: ignore[reportMissingImports]
except ImportError as e:
    raise Misuse("lightning is not installed, and this is its callback: pip install 'jensen[lightning]'") from e

LOGGED = ("J", "gradient_norm", "lowest", "highest", "index", "loss_part", "network_part")


class Watch(Callback):
    """Measures the curvature of a cost at the optimiser's steps, in the first process alone, and logs it.

    Args:
        cost: The cost, made on the trained module; or a function that makes it of the module, in
            evaluation mode, when training begins.
        options: As for :func:`jensen.watch`; ``every`` counts optimiser steps.

    Attributes:
        watch: The running :class:`jensen.ask.curvature.watch.Watch`; None before training.
    """

    def __init__(self, cost: Cost | Callable[[Any], Cost], **options: Any):
        check_names(options, watch)
        self.cost, self.options, self.watch = cost, {"show": False, **options}, None
        self._trained: list[int] | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._trained = None
        if trainer.is_global_zero:
            self.watch = watch(made(self.cost, pl_module), **{"start": trainer.global_step, **self.options})

    def on_train_batch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        record = self.watch.step(trainer.global_step) if self.watch is not None else None
        if record is not None:
            for logger in trainer.loggers:
                logger.log_metrics(figures(record), step=trainer.global_step)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self.watch is None:
            return
        if _last(trainer):  # before others exchange the weights, as averaging does when training ends
            self.watch.close()
        self._trained = _weights(pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self.watch is not None:
            self.watch.close(measure=self._trained in (None, _weights(pl_module)))


def _last(trainer: Any) -> bool:
    """Whether this was the last epoch, as far as the trainer knows by now."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    done = epochs not in (None, -1) and trainer.current_epoch + 1 >= epochs
    return done or trainer.should_stop or 0 < steps <= trainer.global_step


def _weights(module: Any) -> list[int]:
    """By which the weights are known again."""
    return [checksum(p) for p in module.parameters()]


def figures(record: Mapping[str, Any]) -> dict[str, float]:
    """A record's numbers by name, for a logger."""
    found = {f"jensen/{name}": record[name] for name in LOGGED}
    outer = {k: (v[0]["value"] if v else None) if isinstance(v, (list, tuple)) else v for k, v in found.items()}
    return {k: float(v) for k, v in outer.items() if v is not None}
