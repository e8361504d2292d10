"""What a learnt detection method gives to its training; `load_learner` finds it by the method's name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.generator import Tensors
from deepclarity.models.train.enhancer.patches import Bytes
from deepclarity.models.verdict import Kind

Arrays = dict[str, NDArray[Any]]
"""What a network is given, by name: of one picture, or with a first axis that counts pictures."""

PIXELATED = str(Kind.PIXELATED)
"""The class that every learner has."""


class Truth(Protocol):
    """A labelled picture without its pixels."""

    @property
    def kind(self) -> Kind:
        """What a detector ought to say."""
        ...

    @property
    def cell(self) -> Mapping[str, str]:
        """What describes it: class, factor, codec, …"""
        ...


class Learner(Protocol):
    """A detection method as its training sees it."""

    name: str
    """The method's."""
    classes: tuple[str, ...]
    """What the logits stand for, in their order; one of them is `pixelated`."""
    architecture: Mapping[str, int]
    """The numbers that, with the method's name, say which network it is."""

    sight: int
    """Which version of `see` this is: pictures that an older one saw are made again."""

    def see(self, planes: tuple[Bytes, Bytes, Bytes]) -> Arrays:
        """What the network takes of a picture, Y' (h, w), Cb and Cr: arrays of fixed shapes, as small as can be.

        The very same is taken when the detector runs.
        """
        ...

    def label(self, truth: Truth) -> int:
        """Index into `classes`."""
        ...

    def network(self) -> nn.Module:
        """A network with random weights from torch's seed: takes `see`'s arrays as tensors, by name, with a first axis
        of pictures, in their own dtypes; returns logits (pictures, classes)."""
        ...

    def augmented(self, batch: Arrays, rng: np.random.Generator) -> Arrays:
        """`batch`, pictures mirrored and the like; `batch` itself where nothing of the kind suits."""
        ...

    def stored(self, network: nn.Module, *, shift: float) -> Tensors:
        """The weights that inference needs, float32 or float16, of a trained network on the CPU in eval mode.

        `shift` is to be added to the logit of `pixelated`: with it, 0.5 is the best threshold.
        """
        ...

    def check(self, tensors: Tensors, *, name: str) -> None:
        """Raise WeightsError, which begins with `name`, where `tensors` are not what `stored` makes."""
        ...


_LEARNERS = {
    "mobilenet": (".mobilenet", "MobileNetLearner"),
    "canny-mobilenet": (".mobilenet", "CannyMobileNetLearner"),
    "lattice-net": (".lattice_net", "LatticeNetLearner"),
}
"""Method: its module, seen from here, and its class."""


def load_learner(method: str) -> Learner:
    """What trains this method; UsageError where it is not one that learns."""
    if method not in _LEARNERS:
        raise UsageError(f"no method '{method}' that can be trained; {did_you_mean(method, _LEARNERS)}")
    module, kind = _LEARNERS[method]
    learner: Learner = getattr(import_module(module, __package__), kind)()
    return learner
