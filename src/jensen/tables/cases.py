"""What stands in the table of operations: every activation and every loss of torch.nn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Box = Mapping[str, tuple[float, float]]
BELOW_ONE = 1.0 - 2.0**-53


@dataclass(frozen=True)
class Case:
    """One row: a function of blocks, which are asked about, and where all of them may lie.

    Attributes:
        name: The class in torch.nn.
        call: How it is called, as shown.
        fn: The function of the blocks.
        tensors: The blocks' sample values.
        asked: The blocks that the row is about; the others take any value in their boxes.
        within: Boxes of blocks.
        regions: Further boxes of the asked blocks in which to try.
        chords: Pairs of values to try as ends of a chord, where the grid is too coarse.
        note: A remark for the page.
    """

    name: str
    call: str
    fn: Callable[..., torch.Tensor]
    tensors: Mapping[str, Any] = field(default_factory=lambda: {"x": 0.3})
    asked: tuple[str, ...] = ("x",)
    within: Box = field(default_factory=dict)
    regions: tuple[tuple[float, float], ...] = ()
    chords: tuple[tuple[float, float], ...] = ()
    note: str = ""


def _module(call: str, first: bool = False, **more: Any) -> Case:
    """An activation module; of several outputs the first."""
    module = eval(f"nn.{call}", {"nn": nn}).double().eval()
    name = call.split("(")[0]
    if not first:
        return Case(name, call, lambda x: module(x), **more)
    x = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
    return Case(name, call, lambda x: module(x.view(1, 4, 1, 1)).reshape(-1)[0], {"x": x}, **more)


LINEAR = "linear past the threshold, where it drops by 2.1e-9"
FIRST = "the first output"

ACTIVATIONS: tuple[Case, ...] = (
    _module("CELU()"), _module("CELU(alpha=3.0)"), _module("ELU()"), _module("ELU(alpha=2.0)"), _module("GELU()"),
    _module("GELU(approximate='tanh')"), _module("GLU(1)", True, note=FIRST), _module("Hardshrink()"), _module("Hardsigmoid()"),
    _module("Hardswish()"), _module("Hardtanh()"), _module("LeakyReLU()"), _module("LeakyReLU(2.0)"), _module("LogSigmoid()"),
    _module("LogSoftmax(1)", True, note=FIRST), _module("Mish()"), _module("PReLU()", regions=((-inf, 0.0), (0.0, inf))),
    _module("RReLU()", note="in evaluation"), _module("ReLU()"), _module("ReLU6()"), _module("SELU()"), _module("Sigmoid()"),
    _module("SiLU()"), _module("Softmax(1)", True, note=FIRST), _module("Softmax2d()", True, note=FIRST),
    _module("Softmin(1)", True, note=FIRST),
    _module("Softplus()", regions=((-inf, 20.0), (20.000000000000004, inf)), chords=((19.75, 20.25), (20 - 2.0**-30, 20 + 2.0**-30), (20 - 2.0**-31, 20 + 3 * 2.0**-31)), note=LINEAR),
    _module("Softshrink()"), _module("Softsign()"), _module("Tanh()"), _module("Tanhshrink()"),
    _module("Threshold(0.5, 0.5)", regions=((-inf, 0.5), (0.5, inf))),
    _module("Threshold(0.5, 0.0)", regions=((-inf, 0.5), (0.5000000000000001, inf)), note="jumps up"),
    _module("Threshold(0.5, 1.0)", regions=((-inf, 0.5), (0.5000000000000001, inf)), note="jumps down"),
)  # fmt: skip


def _t(*values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


MATRIX = _t([0.3, -0.2, 0.5, 0.1], [0.7, 0.4, -0.6, 0.2], [-0.1, 0.8, 0.3, -0.4])
INSIDE = _t([0.3, 0.2, 0.5, 0.1], [0.7, 0.4, 0.6, 0.2], [0.1, 0.8, 0.3, 0.4])
CLASSES = torch.tensor([0, 2, 1])
SIGNS = _t([1.0, -1.0, 1.0, 1.0], [-1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0])
SIDES = _t(1.0, -1.0, 1.0)
LABELS = torch.tensor([[0, 2, -1, 1], [1, -1, 0, 0], [3, 2, 1, 0]])
WEIGHT = _t(0.5, 1.0, 2.0, 1.5)
UNIT = (0.0, 1.0)
RAY = (0.0, inf)


def _pair(call: str, fn: Callable[..., torch.Tensor], within: Box | None = None, **more: Any) -> Case:
    """A loss in its input x, for every target y."""
    start = INSIDE if within and "x" in within else MATRIX
    return Case(call.split("(")[0], call, fn, {"x": start, "y": INSIDE}, within=within or {}, **more)


def _fixed(call: str, fn: Callable[..., torch.Tensor], **more: Any) -> Case:
    """A loss in its input x, for targets that are given."""
    return Case(call.split("(")[0], call, fn, {"x": MATRIX}, **more)


def _triplet(call: str, fn: Callable[..., torch.Tensor], asked: str) -> Case:
    tensors = {"anchor": MATRIX, "positive": INSIDE, "negative": MATRIX * 0.5 + 0.7}
    return Case(call.split("(")[0], call, fn, tensors, (asked,))


def _linear(*asked: str) -> Case:
    tensors = {"x": MATRIX, "weight": MATRIX * 0.5 + 0.2}
    name = "LinearCrossEntropyLoss"
    return Case(name, f"{name}()", lambda x, weight: F.linear_cross_entropy(x, weight, CLASSES), tensors, asked)


LOSSES: tuple[Case, ...] = (
    _pair("L1Loss()", lambda x, y: F.l1_loss(x, y)),
    _pair("MSELoss()", lambda x, y: F.mse_loss(x, y)),
    _pair("HuberLoss()", lambda x, y: F.huber_loss(x, y)),
    _pair("SmoothL1Loss()", lambda x, y: F.smooth_l1_loss(x, y)),
    _fixed("CrossEntropyLoss()", lambda x: F.cross_entropy(x, CLASSES)),
    _fixed(
        "CrossEntropyLoss(weight, ignore_index, label_smoothing)",
        lambda x: F.cross_entropy(x, CLASSES, weight=WEIGHT, ignore_index=1, label_smoothing=0.1),
    ),
    _pair("CrossEntropyLoss() with probabilities", lambda x, y: F.cross_entropy(x, y), {"y": UNIT}),
    _linear("weight"),
    _linear("x"),
    _linear("x", "weight"),
    _fixed("NLLLoss(weight)", lambda x: F.nll_loss(x, CLASSES, weight=WEIGHT), note="affine in the log-probabilities"),
    _pair("PoissonNLLLoss()", lambda x, y: F.poisson_nll_loss(x, y), {"y": RAY}),
    _pair("PoissonNLLLoss(log_input=False)", lambda x, y: F.poisson_nll_loss(x, y, log_input=False), {"x": RAY, "y": RAY}),
    _fixed("PoissonNLLLoss(full=True)", lambda x: F.poisson_nll_loss(x, INSIDE * 4, full=True)),
    Case(
        "GaussianNLLLoss", "GaussianNLLLoss()", lambda x, y, var: F.gaussian_nll_loss(x, y, var),
        {"x": MATRIX, "y": INSIDE, "var": INSIDE}, within={"var": RAY},
    ),
    Case(
        "GaussianNLLLoss", "GaussianNLLLoss()", lambda x, y, var: F.gaussian_nll_loss(x, y, var),
        {"x": MATRIX, "y": INSIDE, "var": INSIDE}, ("var",), {"var": RAY},
    ),
    _pair("KLDivLoss()", lambda x, y: F.kl_div(x, y, reduction="batchmean"), {"y": RAY}),
    Case(
        "KLDivLoss", "KLDivLoss()", lambda x, y: F.kl_div(x, y, reduction="batchmean"), {"x": MATRIX, "y": INSIDE}, ("y",), {"y": RAY}
    ),
    _pair("KLDivLoss(log_target=True)", lambda x, y: F.kl_div(x, y, reduction="batchmean", log_target=True)),
    _pair(
        "BCELoss()", lambda x, y: F.binary_cross_entropy(x, y), {"x": UNIT, "y": UNIT}, regions=((4e-44, BELOW_ONE),),
        chords=((0.0, 1e-43),), note="logarithms are clamped at -100",
    ),
    _pair("BCEWithLogitsLoss()", lambda x, y: F.binary_cross_entropy_with_logits(x, y), {"y": UNIT}),
    _pair(
        "BCEWithLogitsLoss(weight, pos_weight)",
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, weight=INSIDE, pos_weight=WEIGHT), {"y": UNIT},
    ),
    Case(
        "MarginRankingLoss", "MarginRankingLoss(0.3)", lambda x1, x2: F.margin_ranking_loss(x1, x2, SIDES, 0.3),
        {"x1": MATRIX[:, 0], "x2": MATRIX[:, 1]}, ("x1", "x2"),
    ),
    _fixed("HingeEmbeddingLoss()", lambda x: F.hinge_embedding_loss(x, SIGNS)),
    _fixed("MultiLabelMarginLoss()", lambda x: F.multilabel_margin_loss(x, LABELS)),
    _fixed("SoftMarginLoss()", lambda x: F.soft_margin_loss(x, SIGNS)),
    _pair("MultiLabelSoftMarginLoss()", lambda x, y: F.multilabel_soft_margin_loss(x, y), {"y": UNIT}),
    _fixed("MultiMarginLoss()", lambda x: F.multi_margin_loss(x, CLASSES)),
    _fixed("MultiMarginLoss(p=2, weight)", lambda x: F.multi_margin_loss(x, CLASSES, p=2, weight=WEIGHT)),
    _fixed("CosineEmbeddingLoss()", lambda x: F.cosine_embedding_loss(x, INSIDE, SIDES)),
    *(
        _triplet("TripletMarginLoss()", lambda anchor, positive, negative: F.triplet_margin_loss(anchor, positive, negative), asked)
        for asked in ("positive", "anchor", "negative")
    ),
    _triplet(
        "TripletMarginWithDistanceLoss()",
        lambda anchor, positive, negative: F.triplet_margin_with_distance_loss(anchor, positive, negative), "positive",
    ),
)  # fmt: skip

NOT_CAPTURED = {
    "CTCLoss": "its kernel has no decomposition that torch.export keeps",
    "AdaptiveLogSoftmaxWithLoss": "its control flow depends on the targets",
    "MultiheadAttention": "a layer; see the layers that are attention",
}
