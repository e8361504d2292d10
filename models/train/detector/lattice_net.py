"""Training of `lattice-net`: its network in torch, augmentation, and export for OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.models.detectors.crops import (
    AXIS_FEATURES,
    CROP_PX,
    CROPS,
    EVIDENCE_SIZE,
    NEIGHBOURS_X,
    NEIGHBOURS_Y,
)
from deepclarity.models.detectors.lattice_net import preprocess
from deepclarity.models.detectors.lattice_net_architecture import (
    CHANNELS,
    CLASSES,
    HIDDEN,
    INPUT_CHANNELS,
    LUMA_GAIN,
    MAX_EVIDENCE,
    check_shapes,
)
from deepclarity.models.generator import Tensors
from deepclarity.models.verdict import Bytes, Kind

from .learner import Arrays, Truth

_DROPOUT = 0.15


class LatticeNetLearner:
    """Trains `lattice-net`."""

    name = "lattice-net"
    classes = tuple(str(kind) for kind in CLASSES)
    architecture: Mapping[str, int] = {"crops": CROPS, "crop_px": CROP_PX, "evidence": EVIDENCE_SIZE}
    preprocess_version = 1

    def preprocess(self, planes: tuple[Bytes, Bytes, Bytes]) -> Arrays:
        """`crops` (8, 48, 48), `edges_x` and `edges_y` (8, 48), uint8; `evidence` (70,) float32.

        All are zero where the detector would not run the network.
        """
        found = preprocess(planes[0])
        if found is None:
            edges = np.zeros((CROPS, CROP_PX), np.uint8)
            crops, evidence = np.zeros((CROPS, CROP_PX, CROP_PX), np.uint8), np.zeros(EVIDENCE_SIZE, np.float32)
            return {"crops": crops, "edges_x": edges, "edges_y": edges, "evidence": evidence}
        inputs = found[0]
        return {
            "crops": inputs.crops,
            "edges_x": inputs.edges_x,
            "edges_y": inputs.edges_y,
            "evidence": inputs.evidence,
        }

    def label(self, truth: Truth) -> int:
        """Index into `classes`; pixel art is a class of its own, whether or not it counts as pixelated."""
        art = truth.cell.get("class") == "pixel art"
        return CLASSES.index(Kind.PIXEL_ART if art else truth.kind)

    def network(self) -> nn.Module:
        """A network with random weights."""
        return LatticeNetwork()

    def augment(self, batch: Arrays, rng: np.random.Generator) -> Arrays:
        """Random mirroring and transposition of pictures, with the evidence adjusted to match.

        The phase of a codec's grid is assumed to be the same from both ends.
        """
        crops, edges_x, edges_y, evidence = (batch[key].copy() for key in ("crops", "edges_x", "edges_y", "evidence"))
        for edges, axis, (before, after) in ((edges_x, 3, NEIGHBOURS_X), (edges_y, 2, NEIGHBOURS_Y)):
            mirrored = np.flatnonzero(rng.random(len(crops)) < 0.5)
            crops[mirrored] = np.flip(crops[mirrored], axis)
            # An edge left of a pixel is now right of it, that is, left of the next one.
            edges[mirrored, :, 1:] = edges[mirrored, :, :0:-1]
            edges[mirrored, :, 0] = 0
            swapped = evidence[mirrored, after], evidence[mirrored, before]
            evidence[mirrored, before], evidence[mirrored, after] = swapped
        transposed = np.flatnonzero(rng.random(len(crops)) < 0.5)
        crops[transposed] = crops[transposed].swapaxes(2, 3)
        edges_x[transposed], edges_y[transposed] = edges_y[transposed], edges_x[transposed]
        of_x, of_y = slice(AXIS_FEATURES), slice(AXIS_FEATURES, 2 * AXIS_FEATURES)
        evidence[transposed, of_x], evidence[transposed, of_y] = evidence[transposed, of_y], evidence[transposed, of_x]
        return {"crops": crops, "edges_x": edges_x, "edges_y": edges_y, "evidence": evidence}

    def export_tensors(self, network: nn.Module, *, shift: float) -> Tensors:
        """The weights in float32, as there are few; `shift` is added to the bias of `pixelated`."""
        assert isinstance(network, LatticeNetwork)
        tensors = {key: value.numpy().copy() for key, value in network.tensors().items()}
        tensors["logits.bias"][CLASSES.index(Kind.PIXELATED)] += shift
        return tensors

    def check(self, tensors: Tensors, *, name: str) -> None:
        """Raise WeightsError unless `tensors` have the right shapes and are finite."""
        check_shapes(tensors, name=name)


class LatticeNetwork(nn.Module):
    """Four convolutions on every crop, mean and maximum over the crops, and the evidence; then two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        sizes = zip((INPUT_CHANNELS, *CHANNELS), CHANNELS, strict=False)
        strides = [2] * (len(CHANNELS) - 1) + [1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride, int(before != INPUT_CHANNELS))  # see `build_graph`
            for (before, after), stride in zip(sizes, strides, strict=True)
        )
        self.scaling = nn.BatchNorm1d(EVIDENCE_SIZE, affine=False, eps=1e-4)
        self.hidden = nn.Linear(2 * CHANNELS[-1] + EVIDENCE_SIZE, HIDDEN)
        self.logits = nn.Linear(HIDDEN, len(CLASSES))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (n, 6) of a batch of `LatticeNetLearner.preprocess`'s arrays."""
        count = len(batch["evidence"])
        x = input_channels(batch["crops"].flatten(0, 1), batch["edges_x"].flatten(0, 1), batch["edges_y"].flatten(0, 1))
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
        per_crop = x.mean((2, 3)).reshape(count, CROPS, -1).float()
        evidence = self.scaling(batch["evidence"]).clamp(-MAX_EVIDENCE, MAX_EVIDENCE)
        x = torch.cat([per_crop.mean(1), per_crop.amax(1), evidence], 1)
        x = functional.relu(self.hidden(functional.dropout(x, _DROPOUT, self.training)))
        logits: Tensor = self.logits(x)
        return logits

    def tensors(self) -> dict[str, Tensor]:
        """The weights, named as in `lattice_net_architecture.shapes`."""
        mean, variance = self.scaling.running_mean, self.scaling.running_var
        assert mean is not None
        assert variance is not None
        layers = {f"conv{number}": layer for number, layer in enumerate(self.convolutions)}
        layers |= {"hidden": self.hidden, "logits": self.logits}
        found = {"evidence.mean": mean, "evidence.scale": (variance + self.scaling.eps).rsqrt()}
        for name, layer in layers.items():
            found |= {f"{name}.{key}": parameter for key, parameter in layer.named_parameters()}
        return {key: value.detach().float().cpu().contiguous() for key, value in found.items()}


def input_channels(crops: Tensor, edges_x: Tensor, edges_y: Tensor) -> Tensor:
    """Luma, its gradients and those on edges, each times the crop's gain: (n, 5, side, side), channels last.

    The same as `lattice_net_openvino.input_channels` and the gain. `crops` (n, side, side), edges (n, side), uint8.
    """
    luma = crops.float()
    gradients_x = functional.pad((luma[:, :, 1:] - luma[:, :, :-1]).abs(), (1, 0))
    gradients_y = functional.pad((luma[:, 1:] - luma[:, :-1]).abs(), (0, 0, 1, 0))
    gain = 1 / (gradients_x.mean((1, 2), keepdim=True) + gradients_y.mean((1, 2), keepdim=True) + 1)
    level = (luma - luma.mean((1, 2), keepdim=True).round()) * LUMA_GAIN
    on = gradients_x * (edges_x[:, None, :] > 0), gradients_y * (edges_y[:, :, None] > 0)
    return (torch.stack([level, gradients_x, gradients_y, *on], -1) * gain[..., None]).permute(0, 3, 1, 2)
