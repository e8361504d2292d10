"""A learner that trains in a fraction of a second, on the frequency of equal neighbouring pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from deepclarity.errors import WeightsError
from deepclarity.models.generator import Tensors
from deepclarity.models.train.detector.learner import Arrays, Truth
from deepclarity.models.verdict import Bytes

RECIPE = """
method = "tiny"
seed = 1
published_pictures = 24
video_pictures = 8
validation_pictures = 12
false_positives = 1.0
steps = 40
batch = 8
learning_rate = 0.1
weight_decay = 0.01
label_smoothing = 0.01
warmup_steps = 2
ema_decay = 0.9
bfloat16 = false
checkpoint_s = 1000.0
"""


class TinyLearner:
    """Three classes, four inputs."""

    name = "tiny"
    classes = ("clean", "pixelated", "other")
    architecture: Mapping[str, int] = {"inputs": 4}
    preprocess_version = 1

    def preprocess(self, planes: tuple[Bytes, Bytes, Bytes]) -> Arrays:
        luma = planes[0].astype(np.int16)
        gradients = [np.abs(np.diff(luma, axis=axis)) for axis in (0, 1)]
        return {"alike": np.array([(g < level).mean() for g in gradients for level in (1, 3)], np.float32)}

    def label(self, truth: Truth) -> int:
        known = str(truth.kind) in self.classes
        return self.classes.index(str(truth.kind)) if known else 2

    def network(self) -> nn.Module:
        return TinyNetwork()

    def augment(self, batch: Arrays, rng: np.random.Generator) -> Arrays:
        return {"alike": batch["alike"] + rng.normal(0, 1e-3, batch["alike"].shape).astype(np.float32)}

    def export_tensors(self, network: nn.Module, *, shift: float) -> Tensors:
        assert isinstance(network, TinyNetwork)
        bias = network.last.bias.detach().numpy().copy()
        bias[1] += shift
        return {"weight": network.last.weight.detach().numpy().astype(np.float16), "bias": bias}

    def check(self, tensors: Tensors, *, name: str) -> None:
        if {key: value.shape for key, value in tensors.items()} != {"weight": (3, 4), "bias": (3,)}:
            raise WeightsError(f"{name}: not weights of this network")


class TinyNetwork(nn.Module):
    """One layer after a dropout, which makes torch's random numbers matter."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.norm, self.last = nn.Dropout(0.1), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 3)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        logits: Tensor = self.last(self.drop(torch.as_tensor(self.norm(batch["alike"]))))
        return logits
