"""Points with running statistics of their own, written with the cost's: the function stays, weight and bias take them up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from jensen.ask.paths.points import Point
from jensen.ask.symmetry.frame import Frame
from jensen.ask.symmetry.group import Coordinates, Step, Theta
from jensen.cost import Cost


def rewritten(cost: Cost, frames: Sequence[Coordinates], point: Point) -> Point:
    """The point of the same function that has the cost's own running statistics, those of the frames."""
    own = cost.buffers
    theta, buffers = dict(point.theta), dict(own)
    framed = set()
    for frame in (f for f in frames if isinstance(f, Frame)):
        mean, variance = statistics_of(frame)
        framed |= {mean, variance}
        if mean in own and not (
            torch.equal(own[mean], point.buffers[mean]) and torch.equal(own[variance], point.buffers[variance])
        ):
            theta = frame.back(with_buffers(frame, own, point.buffers).to(theta))
    for name, value in point.buffers.items():
        if name not in framed:
            buffers[name] = value
    return Point(theta, buffers)


def statistics_of(frame: Frame) -> tuple[str, str]:
    """The names of the running mean and variance behind a frame."""
    prefix = frame.weight.rpartition(".")[0]
    dot = "." if prefix else ""
    return f"{prefix}{dot}running_mean", f"{prefix}{dot}running_var"


def with_buffers(frame: Frame, own: dict[str, Tensor], buffers: Any) -> Frame:
    """The frame of other running statistics; its epsilon is what its rate and its own variance leave."""
    mean, variance = statistics_of(frame)
    epsilon = torch.from_numpy(frame.rate).double() ** -2 - own[variance].double()
    rate = (buffers[variance].double() + epsilon).rsqrt()
    return Frame(frame.weight, frame.bias, buffers[mean].double().numpy(), rate.numpy())


def carried(cost: Cost, group: Any, steps: Sequence[Step], coordinates: Theta, origin: Point) -> tuple[Theta, Theta]:
    """Blocks and buffers of a point that was moved from an origin: its own statistics, permuted with their units.

    Args:
        cost: J, with the running statistics of the group's frames.
        group: The answer of :func:`jensen.symmetries`.
        steps: What moved it.
        coordinates: Where it is, in the coordinates of the group.
        origin: Where it came from, with its own buffers.
    """
    own, buffers = cost.buffers, dict(origin.buffers)
    for name, value in buffers.items():
        weight = f"{name.rpartition('.')[0]}.weight".lstrip(".")
        for s in steps:
            for site in s.factor.sites if s.factor.kind == "permutation" else ():
                if site.block == weight and weight in coordinates and value.shape == coordinates[weight].shape:
                    value = site.put(value, site.rows(value)[s.element])
        buffers[name] = value
    out = dict(coordinates)
    for frame in reversed(group.frames):
        out = (with_buffers(frame, own, buffers) if isinstance(frame, Frame) else frame).back(out)
    return out, buffers
