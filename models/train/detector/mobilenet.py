"""Training of the MobileNetV3-small detectors: torchvision's network, and export with batch normalisation folded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from deepclarity.models.compat import import_torchvision
from deepclarity.models.detectors import mobilenet_v3
from deepclarity.models.detectors.mobilenet import CLASSES, EDGES_CENTRE, RGB_CENTRE, preprocess_edges, preprocess_rgb
from deepclarity.models.generator import Tensors
from deepclarity.models.verdict import Bytes

from .learner import PIXELATED, Arrays, Truth

_INPUT = "seen"
"""Name of the input array, also in caches of preprocessed pictures on disk."""


class MobileNetLearner:
    """Trains `mobilenet`, on frames in colour."""

    name = "mobilenet"
    classes = CLASSES
    architecture: Mapping[str, int] = {"inputs": 3, "classes": len(CLASSES)}
    centre = RGB_CENTRE
    preprocess_version = 1

    def preprocess(self, planes: tuple[Bytes, Bytes, Bytes]) -> Arrays:
        """One array, (3, 224, 224) uint8."""
        return {_INPUT: preprocess_rgb(planes[0], planes[1:])}

    def label(self, truth: Truth) -> int:
        """0 for other, 1 for pixelated."""
        return self.classes.index(PIXELATED) if truth.kind == PIXELATED else 0

    def network(self) -> nn.Module:
        """A network with random weights."""
        return MobileNetV3(self.architecture["inputs"], self.centre)

    def augment(self, batch: Arrays, rng: np.random.Generator) -> Arrays:
        """Random horizontal and vertical flips."""
        pictures = batch[_INPUT].copy()
        for axis in (1, 2):
            flipped = np.flatnonzero(rng.random(len(pictures)) < 0.5)
            pictures[flipped] = np.flip(pictures[flipped], axis + 1)
        return {_INPUT: pictures}

    def export_tensors(self, network: nn.Module, *, shift: float) -> Tensors:
        """float16, batch normalisation folded into the convolutions, `shift` added to the bias of `pixelated`."""
        assert isinstance(network, MobileNetV3)
        tensors = fold_batch_norm(network.inner, **self.architecture)
        tensors["logits.bias"][self.classes.index(PIXELATED)] += shift
        return {key: value.astype(np.float16) for key, value in tensors.items()}

    def check(self, tensors: Tensors, *, name: str) -> None:
        """Raise WeightsError unless `tensors` have the right shapes and are finite."""
        mobilenet_v3.check_shapes(tensors, **self.architecture, name=name)


class CannyMobileNetLearner(MobileNetLearner):
    """Trains `canny-mobilenet`, on Canny's edges."""

    name = "canny-mobilenet"
    architecture: Mapping[str, int] = {"inputs": 1, "classes": len(CLASSES)}
    centre = EDGES_CENTRE

    def preprocess(self, planes: tuple[Bytes, Bytes, Bytes]) -> Arrays:
        """One array, (1, 224, 224) uint8."""
        return {_INPUT: preprocess_edges(planes[0])}


class MobileNetV3(nn.Module):
    """torchvision's MobileNetV3-small with uint8 input, which is normalised first."""

    def __init__(self, inputs: int, centre: float) -> None:
        super().__init__()
        self._centre = centre
        inner = import_torchvision().models.mobilenet_v3_small(weights=None, num_classes=len(CLASSES))
        if inputs != 3:
            inner.features[0][0] = nn.Conv2d(inputs, 16, 3, 2, 1, bias=False)
            nn.init.kaiming_normal_(inner.features[0][0].weight, mode="fan_out")
        for norm in (module for module in inner.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.momentum = 0.1  # torchvision's 0.01 is too slow for short runs
        self.inner: nn.Module = inner.to(memory_format=torch.channels_last)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (n, classes) of a batch of one array, (n, inputs, 224, 224) uint8."""
        x = (batch[_INPUT].float() - self._centre) / 64
        logits: Tensor = self.inner(x.contiguous(memory_format=torch.channels_last))
        return logits


def fold_batch_norm(network: nn.Module, *, inputs: int, classes: int) -> Tensors:
    """The float32 tensors of torchvision's network, named as in `mobilenet_v3`, batch normalisation folded in."""
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    modules = [module for module in network.modules() if isinstance(module, kinds)]
    pairs = [
        (one, other if isinstance(other, nn.BatchNorm2d) else None)
        for one, other in zip(modules, [*modules[1:], None], strict=True)
        if not isinstance(one, nn.BatchNorm2d)
    ]
    tensors: Tensors = {}
    for layer, (module, norm) in zip(mobilenet_v3.layers(inputs, classes), pairs, strict=True):
        weight = module.weight.detach().double().reshape(layer.shapes[f"{layer.name}.weight"])
        bias = torch.zeros(len(weight)) if module.bias is None else module.bias.detach().double()
        if norm is not None:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            gain = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
            weight = weight * gain.reshape(-1, 1, 1, 1)
            bias = (bias - norm.running_mean) * gain + norm.bias.detach()
        for name, value in (("weight", weight), ("bias", bias)):
            tensors[f"{layer.name}.{name}"] = value.float().cpu().numpy().copy()
    return tensors
