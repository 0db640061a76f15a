"""Watching a training under Hugging Face's Trainer: ``Trainer(..., callbacks=[Watch(cost, every=100)])``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jensen.ask.curvature.settings import check_names
from jensen.ask.curvature.shadow import made
from jensen.ask.curvature.watch import watch
from jensen.cost import Cost
from jensen.errors import Misuse

try:
    from transformers import TrainerCallback  # pyright: ignore[reportMissingImports]
except ImportError as e:
    raise Misuse("transformers is not installed, and this is its callback: pip install 'jensen[huggingface]'") from e


class Watch(TrainerCallback):
    """Measures the curvature of a cost at the Trainer's steps, in its first process alone.

    Args:
        cost: The cost, made on the Trainer's model; or a function that makes it of the model, in
            evaluation mode, when training begins.
        options: As for :func:`jensen.watch`; ``every`` counts optimiser steps.

    Attributes:
        watch: The running :class:`jensen.ask.curvature.watch.Watch`; None before training.
    """

    def __init__(self, cost: Cost | Callable[[Any], Cost], **options: Any):
        check_names(options, watch)
        self.cost, self.options, self.watch = cost, {"show": False, **options}, None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if state.is_world_process_zero:
            self.watch = watch(made(self.cost, model), **{"start": state.global_step, **self.options})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.watch is not None:
            self.watch.step(state.global_step)
            if control.should_training_stop or state.global_step >= state.max_steps:  # before a better model is loaded
                self.watch.close()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.watch is not None:
            self.watch.close(measure=not (args.load_best_model_at_end and state.best_model_checkpoint))
