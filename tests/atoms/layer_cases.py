"""Layers of torch.nn: (name, how to build it, input shape); all must trace and have a model."""

import torch
from torch import nn
from torch.nn.utils import parametrizations as P

SEQUENCE = (2, 3, 4)  # batch, time, features
IMAGE = (2, 4, 6, 6)


class Self(nn.Module):
    """A layer that attends to itself."""

    def __init__(self, layer, **how):
        super().__init__()
        self.layer, self.how = layer, how

    def forward(self, x):
        return self.layer(x, x, x, **self.how)[0]


class Masked(nn.Module):
    """A layer called with constant keyword arguments."""

    def __init__(self, layer, **how):
        super().__init__()
        self.layer = layer
        self.how = how

    def forward(self, x):
        return self.layer(x, **self.how)


class Decode(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x, x.flip(1), tgt_mask=nn.Transformer.generate_square_subsequent_mask(3), tgt_is_causal=True)


class First(nn.Module):
    """The output of a recurrent layer, and its last states."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        out, state = self.layer(x)
        states = state if isinstance(state, tuple) else (state,)
        return out.sum() + sum(s.square().sum() for s in states)


class Cell(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        out = self.layer(x[:, 0])
        return self.layer(x[:, 1], out)[0]


class Pair(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.first = layer, nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.first(x), x)


class Bags(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.layer = nn.EmbeddingBag(5, 3, mode=mode)

    def forward(self, x):
        return self.layer(torch.tensor([[0, 2, 4], [1, 1, 3]])) * x[:, :1, 0]


CAUSAL = nn.Transformer.generate_square_subsequent_mask(3, dtype=torch.float64)
PADDING = torch.tensor([[False, False, True], [False, False, False]])
ENCODER = {"d_model": 4, "nhead": 2, "dim_feedforward": 5, "dropout": 0.0, "batch_first": True}

LAYERS = [
    ("Linear", lambda: nn.Linear(4, 3), SEQUENCE),
    ("Bilinear", lambda: Pair(nn.Bilinear(4, 4, 3)), (3, 4)),
    ("Conv1d", lambda: nn.Conv1d(3, 2, 2, padding=1, padding_mode="circular"), SEQUENCE),
    ("Conv2d", lambda: nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2), IMAGE),
    ("Conv2d_reflect", lambda: nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect", bias=False), IMAGE),
    ("Conv2d_same", lambda: nn.Conv2d(4, 2, 4, padding="same", padding_mode="replicate"), IMAGE),
    ("Conv3d", lambda: nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3)),
    ("ConvTranspose1d", lambda: nn.ConvTranspose1d(3, 2, 2, stride=2), SEQUENCE),
    ("ConvTranspose2d", lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1), IMAGE),
    ("ConvTranspose3d", lambda: nn.ConvTranspose3d(1, 2, 2), (1, 1, 2, 2, 2)),
    ("MaxPool", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.MaxPool2d(3, 2, 1)), IMAGE),
    ("MaxUnpool_indices", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.MaxPool2d(2)), IMAGE),
    ("AvgPool", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.AvgPool2d(3, 2, 1)), IMAGE),
    ("AdaptiveAvgPool", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1)), IMAGE),
    ("AdaptiveMaxPool", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.AdaptiveMaxPool2d((2, None))), IMAGE),
    ("ZeroPad2d", lambda: nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(4, 2, 1)), IMAGE),
    ("CircularPad2d", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.CircularPad2d(2)), IMAGE),
    ("ReflectionPad1d", lambda: nn.Sequential(nn.Linear(4, 4), nn.ReflectionPad1d(2)), SEQUENCE),
    ("ReplicationPad3d", lambda: nn.Sequential(nn.Conv3d(1, 1, 1), nn.ReplicationPad3d(1)), (1, 1, 2, 2, 2)),
    ("ConstantPad1d", lambda: nn.Sequential(nn.Linear(4, 4), nn.ConstantPad1d(2, 1.5)), SEQUENCE),
    ("Flatten", lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Unflatten(1, (2, 3))), SEQUENCE),
    ("Fold", lambda: nn.Sequential(nn.Conv2d(4, 1, 1), nn.Unfold(2, stride=2), nn.Fold((6, 6), 2, stride=2)), IMAGE),
    ("PixelShuffle", lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.PixelShuffle(2), nn.PixelUnshuffle(2)), IMAGE),
    ("ChannelShuffle", lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.ChannelShuffle(2)), IMAGE),
    ("Upsample", lambda: nn.Sequential(nn.Conv2d(4, 1, 1), nn.Upsample(scale_factor=2)), IMAGE),
    ("UpsamplingBilinear2d", lambda: nn.Sequential(nn.Conv2d(4, 1, 1), nn.UpsamplingBilinear2d(size=(8, 5))), IMAGE),
    ("BatchNorm1d", lambda: nn.BatchNorm1d(4), (3, 4)),
    ("BatchNorm1d_eval", lambda: nn.BatchNorm1d(4).eval(), (3, 4)),
    ("BatchNorm2d", lambda: nn.BatchNorm2d(4), IMAGE),
    ("BatchNorm2d_eval", lambda: nn.BatchNorm2d(4).eval(), IMAGE),
    ("BatchNorm2d_plain", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2, affine=False)), IMAGE),
    ("BatchNorm2d_untracked", lambda: nn.BatchNorm2d(4, track_running_stats=False).eval(), IMAGE),
    ("BatchNorm3d", lambda: nn.BatchNorm3d(2), (2, 2, 2, 2, 2)),
    ("LayerNorm", lambda: nn.LayerNorm((3, 4)), SEQUENCE),
    ("LayerNorm_plain", lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, elementwise_affine=False)), SEQUENCE),
    ("LayerNorm_bias", lambda: nn.LayerNorm(4, bias=False), SEQUENCE),
    ("GroupNorm", lambda: nn.GroupNorm(2, 4), IMAGE),
    ("GroupNorm_plain", lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4, affine=False)), IMAGE),
    ("InstanceNorm1d", lambda: nn.InstanceNorm1d(3, affine=True), SEQUENCE),
    ("InstanceNorm2d_tracked", lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True), IMAGE),
    ("InstanceNorm2d_eval", lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True).eval(), IMAGE),
    ("InstanceNorm2d_plain", lambda: nn.Sequential(nn.Conv2d(4, 2, 1), nn.InstanceNorm2d(2)), IMAGE),
    ("InstanceNorm3d", lambda: nn.InstanceNorm3d(2, affine=True), (1, 2, 2, 2, 2)),
    ("RMSNorm", lambda: nn.RMSNorm(4), SEQUENCE),
    ("RMSNorm_plain", lambda: nn.Sequential(nn.Linear(4, 4), nn.RMSNorm(4, elementwise_affine=False)), SEQUENCE),
    ("LocalResponseNorm", lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.LocalResponseNorm(2)), IMAGE),
    ("Softmax2d", lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.Softmax2d()), IMAGE),
    ("Softmin", lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmin(-1)), SEQUENCE),
    ("CosineSimilarity", lambda: Pair(nn.CosineSimilarity(-1)), SEQUENCE),
    ("PairwiseDistance", lambda: Pair(nn.PairwiseDistance()), (3, 4)),
    ("MultiheadAttention", lambda: Self(nn.MultiheadAttention(4, 2, batch_first=True)), SEQUENCE),
    ("MultiheadAttention_plain", lambda: Self(nn.MultiheadAttention(4, 2), need_weights=False), SEQUENCE),
    (
        "MultiheadAttention_causal",
        lambda: Self(nn.MultiheadAttention(4, 2, batch_first=True), attn_mask=CAUSAL, is_causal=True),
        SEQUENCE,
    ),
    (
        "MultiheadAttention_padded",
        lambda: Self(nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True), key_padding_mask=PADDING),
        SEQUENCE,
    ),
    (
        "MultiheadAttention_both",
        lambda: Self(
            nn.MultiheadAttention(4, 2, batch_first=True),
            key_padding_mask=PADDING,
            attn_mask=CAUSAL,
            need_weights=False,
        ),
        SEQUENCE,
    ),
    ("TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(**ENCODER), SEQUENCE),
    ("TransformerEncoderLayer_eval", lambda: nn.TransformerEncoderLayer(**ENCODER, norm_first=True).eval(), SEQUENCE),
    (
        "TransformerEncoder",
        lambda: Masked(
            nn.TransformerEncoder(nn.TransformerEncoderLayer(**ENCODER), 2, enable_nested_tensor=False),
            mask=CAUSAL,
            src_key_padding_mask=PADDING,
        ),
        SEQUENCE,
    ),
    ("TransformerDecoder", lambda: Decode(nn.TransformerDecoder(nn.TransformerDecoderLayer(**ENCODER), 1)), SEQUENCE),
    ("Transformer", lambda: Pair(nn.Transformer(4, 2, 1, 1, 5, dropout=0.0, batch_first=True)), SEQUENCE),
    ("RNN", lambda: First(nn.RNN(4, 3)), SEQUENCE),
    (
        "RNN_relu",
        lambda: First(nn.RNN(4, 3, nonlinearity="relu", num_layers=2, batch_first=True, bias=False)),
        SEQUENCE,
    ),
    ("LSTM", lambda: First(nn.LSTM(4, 3, batch_first=True)), SEQUENCE),
    ("LSTM_deep", lambda: First(nn.LSTM(4, 3, num_layers=2, bidirectional=True)), SEQUENCE),
    ("LSTM_projected", lambda: First(nn.LSTM(4, 3, proj_size=2)), SEQUENCE),
    ("GRU", lambda: First(nn.GRU(4, 3, bidirectional=True, batch_first=True)), SEQUENCE),
    ("RNNCell", lambda: Cell(nn.RNNCell(4, 3)), SEQUENCE),
    ("LSTMCell", lambda: Cell(nn.LSTMCell(4, 3)), SEQUENCE),
    ("GRUCell", lambda: Cell(nn.GRUCell(4, 3)), SEQUENCE),
    ("EmbeddingBag", lambda: Bags("mean"), SEQUENCE),
    ("EmbeddingBag_sum", lambda: Bags("sum"), SEQUENCE),
    ("weight_norm", lambda: P.weight_norm(nn.Linear(4, 3)), SEQUENCE),
    ("weight_norm_conv", lambda: P.weight_norm(nn.Conv2d(4, 2, 3), dim=1), IMAGE),
    ("spectral_norm", lambda: P.spectral_norm(nn.Linear(4, 3)).eval(), SEQUENCE),
]
