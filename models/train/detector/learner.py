"""The interface between a learned detection method and its training; `load_learner` loads it by the method's name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.generator import Tensors
from deepclarity.models.verdict import Bytes, Kind

Arrays = dict[str, NDArray[Any]]
"""Inputs of a network by name: of one picture, or of a batch with a first axis of pictures."""

PIXELATED = str(Kind.PIXELATED)
"""The class that every learner has."""


class Truth(Protocol):
    """The ground truth of a labelled picture."""

    @property
    def kind(self) -> Kind:
        """The correct verdict."""
        ...

    @property
    def cell(self) -> Mapping[str, str]:
        """Its attributes: class, factor, codec, …"""
        ...


class Learner(Protocol):
    """A detection method that can be trained."""

    name: str
    """The name of the method."""
    classes: tuple[str, ...]
    """The classes of the logits, in order; one of them is `pixelated`."""
    architecture: Mapping[str, int]
    """The numbers that, with the name of the method, identify the network."""
    preprocess_version: int
    """Version of `preprocess`: cached pictures of older versions are recomputed."""

    def preprocess(self, planes: tuple[Bytes, Bytes, Bytes]) -> Arrays:
        """Compute the network's inputs from a picture, Y' (h, w), Cb and Cr: small arrays of fixed shapes.

        The detector runs on exactly the same inputs.
        """
        ...

    def label(self, truth: Truth) -> int:
        """Index into `classes`."""
        ...

    def network(self) -> nn.Module:
        """A new network with random weights, drawn from torch's global seed.

        It maps the arrays of `preprocess`, as tensors by name with a first axis of pictures and unchanged dtypes, to
        logits (pictures, classes).
        """
        ...

    def augment(self, batch: Arrays, rng: np.random.Generator) -> Arrays:
        """Randomly mirror the pictures of `batch` and the like; returns `batch` itself if no augmentation applies."""
        ...

    def export_tensors(self, network: nn.Module, *, shift: float) -> Tensors:
        """The weights for inference, float32 or float16, of a trained network on the CPU in eval mode.

        `shift` is added to the logit of `pixelated`, so that a score of 0.5 is the best threshold.
        """
        ...

    def check(self, tensors: Tensors, *, name: str) -> None:
        """Raise WeightsError, which begins with `name`, unless `tensors` are like those of `export_tensors`."""
        ...


_LEARNERS = {
    "mobilenet": (".mobilenet", "MobileNetLearner"),
    "canny-mobilenet": (".mobilenet", "CannyMobileNetLearner"),
    "lattice-net": (".lattice_net", "LatticeNetLearner"),
}
"""Method → (module, class)."""


def load_learner(method: str) -> Learner:
    """Load the learner of this method; UsageError if the method cannot be trained."""
    if method not in _LEARNERS:
        raise UsageError(f"method '{method}' cannot be trained; {did_you_mean(method, _LEARNERS)}")
    module, kind = _LEARNERS[method]
    learner: Learner = getattr(import_module(module, __package__), kind)()
    return learner
