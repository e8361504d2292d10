"""Training `lattice-net`: the network that the detector runs by OpenVINO, in torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepclarity.models.detectors.crops import AXIS, BESIDE_X, BESIDE_Y, CROP_PX, CROPS, EVIDENCE
from deepclarity.models.detectors.lattice_net import (
    CHANNELS,
    CLASSES,
    EVIDENCE_CLIP,
    HIDDEN,
    INPUTS,
    LUMA_GAIN,
    check_shapes,
    seen,
)
from deepclarity.models.generator import Tensors
from deepclarity.models.train.enhancer.patches import Bytes
from deepclarity.models.verdict import Kind

from .learner import Arrays, Truth

_DROPOUT = 0.15


class LatticeNetLearner:
    """Trains `lattice-net`."""

    name = "lattice-net"
    classes = tuple(str(kind) for kind in CLASSES)
    architecture: Mapping[str, int] = {"crops": CROPS, "crop_px": CROP_PX, "evidence": EVIDENCE}

    sight = 1

    def see(self, planes: tuple[Bytes, Bytes, Bytes]) -> Arrays:
        """`crops` (8, 48, 48), `edges_x` and `edges_y` (8, 48), uint8; `evidence` (70,) float32. All are zero where the
        detector would not ask the network."""
        found = seen(planes[0])
        if found is None:
            blank = np.zeros((CROPS, CROP_PX), np.uint8)
            crops, told = np.zeros((CROPS, CROP_PX, CROP_PX), np.uint8), np.zeros(EVIDENCE, np.float32)
            return {"crops": crops, "edges_x": blank, "edges_y": blank, "evidence": told}
        look = found[0]
        return {"crops": look.crops, "edges_x": look.edges_x, "edges_y": look.edges_y, "evidence": look.evidence}

    def label(self, truth: Truth) -> int:
        """Index into `classes`; pixel art is one of them, whether or not it counts as pixelated."""
        art = truth.cell.get("class") == "pixel art"
        return CLASSES.index(Kind.PIXEL_ART if art else truth.kind)

    def network(self) -> nn.Module:
        """Random weights."""
        return LatticeNetwork()

    def augmented(self, batch: Arrays, rng: np.random.Generator) -> Arrays:
        """Pictures mirrored and turned over their diagonal, the evidence with them as far as that changes it: where a
        codec's blocks begin is taken to be the same from both ends."""
        crops, edges_x, edges_y, told = (batch[key].copy() for key in ("crops", "edges_x", "edges_y", "evidence"))
        for edges, axis, (before, after) in ((edges_x, 3, BESIDE_X), (edges_y, 2, BESIDE_Y)):
            turned = np.flatnonzero(rng.random(len(crops)) < 0.5)
            crops[turned] = np.flip(crops[turned], axis)
            # What lay left of a pixel lies right of it now: left of the next.
            edges[turned, :, 1:] = edges[turned, :, :0:-1]
            edges[turned, :, 0] = 0
            told[turned, before], told[turned, after] = told[turned, after], told[turned, before]
        over = np.flatnonzero(rng.random(len(crops)) < 0.5)
        crops[over] = crops[over].swapaxes(2, 3)
        edges_x[over], edges_y[over] = edges_y[over], edges_x[over]
        told[over, :AXIS], told[over, AXIS : 2 * AXIS] = told[over, AXIS : 2 * AXIS], told[over, :AXIS]
        return {"crops": crops, "edges_x": edges_x, "edges_y": edges_y, "evidence": told}

    def stored(self, network: nn.Module, *, shift: float) -> Tensors:
        """float32: they are few."""
        assert isinstance(network, LatticeNetwork)
        tensors = {key: value.numpy().copy() for key, value in network.tensors().items()}
        tensors["logits.bias"][CLASSES.index(Kind.PIXELATED)] += shift
        return tensors

    def check(self, tensors: Tensors, *, name: str) -> None:
        """WeightsError where shapes differ or numbers are not finite."""
        check_shapes(tensors, name=name)


class LatticeNetwork(nn.Module):
    """Four convolutions on every crop, their mean and their strongest, and the evidence; two layers judge."""

    def __init__(self) -> None:
        super().__init__()
        sizes = zip((INPUTS, *CHANNELS), CHANNELS, strict=False)
        strides = [2] * (len(CHANNELS) - 1) + [1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride, int(before != INPUTS))  # see `build_graph`
            for (before, after), stride in zip(sizes, strides, strict=True)
        )
        self.scaling = nn.BatchNorm1d(EVIDENCE, affine=False, eps=1e-4)
        self.hidden = nn.Linear(2 * CHANNELS[-1] + EVIDENCE, HIDDEN)
        self.logits = nn.Linear(HIDDEN, len(CLASSES))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (n, 6) of `Learner.see`'s arrays."""
        count = len(batch["evidence"])
        x = channels(batch["crops"].flatten(0, 1), batch["edges_x"].flatten(0, 1), batch["edges_y"].flatten(0, 1))
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
        each = x.mean((2, 3)).reshape(count, CROPS, -1).float()
        told = self.scaling(batch["evidence"]).clamp(-EVIDENCE_CLIP, EVIDENCE_CLIP)
        x = torch.cat([each.mean(1), each.amax(1), told], 1)
        x = functional.relu(self.hidden(functional.dropout(x, _DROPOUT, self.training)))
        logits: Tensor = self.logits(x)
        return logits

    def tensors(self) -> dict[str, Tensor]:
        """The weights as `lattice_net.shapes` names them."""
        mean, spread = self.scaling.running_mean, self.scaling.running_var
        assert mean is not None
        assert spread is not None
        layers = {f"conv{number}": layer for number, layer in enumerate(self.convolutions)}
        layers |= {"hidden": self.hidden, "logits": self.logits}
        found = {"evidence.mean": mean, "evidence.scale": (spread + self.scaling.eps).rsqrt()}
        for name, layer in layers.items():
            found |= {f"{name}.{key}": parameter for key, parameter in layer.named_parameters()}
        return {key: value.detach().float().cpu().contiguous() for key, value in found.items()}


def channels(crops: Tensor, edges_x: Tensor, edges_y: Tensor) -> Tensor:
    """Luma and its steps, by the mean step of each crop, and the steps on edges: (n, 5, side, side), channels last.

    `crops` (n, side, side), edges (n, side), uint8.
    """
    luma = crops.float()
    steps_x = functional.pad((luma[:, :, 1:] - luma[:, :, :-1]).abs(), (1, 0))
    steps_y = functional.pad((luma[:, 1:] - luma[:, :-1]).abs(), (0, 0, 1, 0))
    gain = 1 / (steps_x.mean((1, 2), keepdim=True) + steps_y.mean((1, 2), keepdim=True) + 1)
    level = (luma - luma.mean((1, 2), keepdim=True).round()) * LUMA_GAIN
    on = steps_x * (edges_x[:, None, :] > 0), steps_y * (edges_y[:, :, None] > 0)
    return (torch.stack([level, steps_x, steps_y, *on], -1) * gain[..., None]).permute(0, 3, 1, 2)
