"""A network of ResNet-50's size and shape: bottleneck blocks [3, 4, 6, 3], 23.7 million parameters, batch norm in eval mode.

Randomly initialised, on a few synthetic images: what is asked of it (is J convex in the head, and in everything?) does not
depend on the values.
"""

import torch
from torch import nn

from jensen.cost import Cost


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.skip = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.skip(x))


class ResNet(nn.Module):
    def __init__(self, depths: tuple[int, ...] = (3, 4, 6, 3), classes: int = 1000):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks: list[nn.Module] = []
        channels = 64
        for k, depth in enumerate(depths):
            for j in range(depth):
                blocks.append(Bottleneck(channels, 64 * 2**k, 2 if j == 0 and k > 0 else 1))
                channels = 256 * 2**k
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.blocks(self.stem(x))).flatten(1))


def build(depths: tuple[int, ...] = (3, 4, 6, 3), images: int = 4) -> Cost:
    torch.manual_seed(0)
    data = torch.randn(images, 3, 64, 64), torch.randint(1000, (images,))
    return Cost(ResNet(depths).eval(), nn.CrossEntropyLoss(), data)


def __getattr__(name: str) -> Cost:
    if name != "cost":
        raise AttributeError(name)
    globals()["cost"] = build()
    return globals()["cost"]
