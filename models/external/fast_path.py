"""PyTorch models on the CPU by OpenVINO: two to three times as fast, used only where it computes the same."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from deepclarity.models.backends.checks import first_line

from .graph import Graph
from .network import PROBE_PX, Pixels

_log = logging.getLogger(__name__)

_TOLERANCE = 0.25 / 255
_ATTENTION = (nn.LayerNorm, nn.Linear, nn.MultiheadAttention)
"""Layers of networks whose conversion takes longer than many pictures, and depends on the picture's size."""


class FastPath:
    """Converts a convolutional model once, and checks it against PyTorch on a picture of each size."""

    def __init__(self, module: nn.Module, run: Callable[[Tensor], Tensor], channels: int) -> None:
        """`run`: what the model does with (1, channels, h, w) in 0..1."""
        self._usable = not any(isinstance(layer, _ATTENTION) for layer in module.modules())
        self._module, self._run, self._channels = module, run, channels
        self._graph: Graph | None = None
        self._seen: set[tuple[int, ...]] = set()
        self._checked: set[tuple[int, ...]] = set()

    def __call__(self, pixels: Pixels, by_torch: Callable[[Pixels], Pixels]) -> Pixels:
        """Enlarge `pixels`: the first of a size by PyTorch, the second by both, the others by OpenVINO."""
        size = pixels.shape[1:]
        if self._usable and size in self._checked:
            try:
                return np.clip(self._converted()(pixels), 0, 1)
            except RuntimeError as error:
                self._give_up(first_line(error))
        expected = by_torch(pixels)
        if self._usable and size in self._seen:
            self._check(pixels, expected)
        self._seen.add(size)
        return expected

    def close(self) -> None:
        """Release the compiled graphs."""
        self._usable = False
        if self._graph is not None:
            self._graph.close()

    def _check(self, pixels: Pixels, expected: Pixels) -> None:
        try:
            actual = np.clip(self._converted()(pixels), 0, 1)
        except Exception as error:  # no OpenVINO, an operator it lacks, a shape fixed by tracing: PyTorch serves
            self._give_up(first_line(error))
            return
        if actual.shape != expected.shape or not np.abs(actual - expected).max() <= _TOLERANCE:
            self._give_up("it computes something else")
            return
        self._checked.add(pixels.shape[1:])

    def _give_up(self, reason: str) -> None:
        self._usable = False
        _log.info("the model cannot be run by OpenVINO (%s); PyTorch runs it, which is slower", reason)

    def _converted(self) -> Graph:
        if self._graph is None:
            from deepclarity.models.openvino_no_telemetry import openvino

            example = torch.rand(1, self._channels, PROBE_PX, PROBE_PX)
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # the tracer warns of everything that depends on the size
                model = openvino.convert_model(
                    _Traced(self._module, self._run).eval(), example_input=example, input=[1, self._channels, -1, -1]
                )
            self._graph = Graph(model, openvino.Core())
        return self._graph


class _Traced(nn.Module):
    """The model, called as its architecture is to be called."""

    def __init__(self, module: nn.Module, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self._run = module, run

    def forward(self, pixels: Tensor) -> Tensor:
        return self._run(pixels)
