"""PyTorch models of the community, recognised and run by spandrel: `.pth` and `.safetensors`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from deepclarity.errors import DeviceError, UsageError, WeightsError
from deepclarity.models.backends.checks import first_line
from deepclarity.models.backends.torch import usable_device
from deepclarity.models.compat import import_torchvision
from deepclarity.models.weights import safetensors_metadata

from .fast_path import FastPath
from .licences import architecture_licence
from .memory import LIVE_LAYERS, free_memory_bytes
from .network import (
    PROBE_PX,
    NetworkInfo,
    Pixels,
    check_channels,
    check_finite_output,
    check_output,
    licence_of,
    measured_scale,
    probe_picture,
)
from .state_dict import StateDict, read_pth, read_safetensors

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor


_MAX_HALF_DIFFERENCE = 1 / 255


class SpandrelNetwork:
    """Runs one model with PyTorch in float32; on a GPU in float16, if the result is the same within a level."""

    fixed_size: tuple[int, int] | None = None

    def __init__(self, content: bytes, *, suffix: str, name: str, device: str = "cpu") -> None:
        """`suffix`: `.pth` or `.safetensors`.

        Raises UsageError without spandrel, WeightsError for a file that is no super-resolution model or does not do
        what it claims, DeviceError if the device cannot be used.
        """
        is_safe = suffix == ".safetensors"
        self._device = usable_device(device)
        state = read_safetensors(content, name) if is_safe else read_pth(content, name)
        self._model = _recognised(state, name)
        channels = check_channels(name, self._model.input_channels, self._model.output_channels)
        self.tiled = self._model.tiling.name != "INTERNAL"
        self.backend = f"spandrel {self._device.type} fp32"
        self._dtype = torch.float32
        try:
            self._model.to(self._device).float().eval()
            scale, self.bytes_per_px = self._probe(name, channels)
            if self._device.type == "cuda" and self._model.supports_half:
                self._use_half_if_equal(channels)
        except RuntimeError as error:
            raise DeviceError(f"{name}: cannot be run on '{device}' ({first_line(error)})") from error
        self.info = NetworkInfo(
            name=name,
            architecture=self._model.architecture.name,
            scale=scale,
            channels=channels,
            parameters=sum(parameter.numel() for parameter in self._model.model.parameters()),
            licence=licence_of(safetensors_metadata(content)) if is_safe else "-",
            architecture_licence=architecture_licence(self._model.architecture.id),
        )
        self._fast_path = FastPath(self._model.model, self._call, channels) if self._device.type == "cpu" else None

    def __call__(self, pixels: Pixels) -> Pixels:
        """Enlarge (channels, h, w) in 0..1 to (channels, h * scale, w * scale), clamped to 0..1."""
        channels, height, width = pixels.shape
        try:
            large = self._fast_path(pixels, self._run) if self._fast_path else self._run(pixels)
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise MemoryError(first_line(error)) from error
        except RuntimeError as error:
            if "memory" in str(error):
                raise MemoryError(first_line(error)) from error
            raise DeviceError(f"{self.info.name}: failed on {width}x{height} pixels ({first_line(error)})") from error
        scale = self.info.scale
        return check_output(self.info.name, large, expected=(channels, height * scale, width * scale))

    def available_bytes(self) -> int:
        """Free memory of its device, in bytes."""
        if self._device.type == "cuda":
            return int(torch.cuda.mem_get_info(self._device)[0])
        return free_memory_bytes()

    def close(self) -> None:
        """Release device memory; a later call fails."""
        if self._fast_path:
            self._fast_path.close()
        self._model.model.to("meta")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _run(self, pixels: Pixels) -> Pixels:
        large: Tensor = self._model(torch.from_numpy(pixels)[None].to(self._device, self._dtype))
        result: Pixels = large[0].float().cpu().numpy()
        return result

    def _use_half_if_equal(self, channels: int) -> None:
        """Switch to float16 if the test picture comes out the same within one level of 255."""
        picture = probe_picture(channels, (PROBE_PX, PROBE_PX))
        exact = self._run(picture)
        self._model.half()
        self._dtype = torch.float16
        difference = np.abs(np.clip(self._run(picture), 0, 1) - np.clip(exact, 0, 1))
        if not float(difference.max()) <= _MAX_HALF_DIFFERENCE:  # NaN, too
            self._model.float()
            self._dtype = torch.float32
            return
        self.backend = f"spandrel {self._device.type} fp16"
        self.bytes_per_px /= 2

    def _call(self, pixels: Tensor) -> Tensor:
        """The model as its architecture calls it, without the padding that spandrel adds."""
        large: Tensor = self._model._call_fn(self._model.model, pixels)
        return large

    def _probe(self, name: str, channels: int) -> tuple[int, float]:
        """(scale, working memory per pixel), measured on a small picture."""
        size = (PROBE_PX, PROBE_PX)
        with _widest_output(self._model.model) as widest, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                large = self._run(probe_picture(channels, size))
            except Exception as error:  # the code of any of spandrel's architectures
                raise WeightsError(f"{name}: cannot enlarge a picture ({first_line(error)}).") from error
        scale = measured_scale(name, (channels, *size), large.shape, claimed=self._model.scale)
        check_finite_output(name, large)
        return scale, max(widest[0], large.nbytes) * LIVE_LAYERS / PROBE_PX**2


def _recognised(state: StateDict, name: str) -> ImageModelDescriptor[Any]:
    """The model that these tensors belong to."""
    spandrel = import_spandrel()
    try:
        with warnings.catch_warnings():  # PyTorch's remarks on the authors' code are of no use to users
            warnings.simplefilter("ignore")
            model = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(state))
    except spandrel.UnsupportedModelError as error:
        raise WeightsError(f"{name}: spandrel {_version()} knows no architecture with these weights.") from error
    except Exception as error:  # the architectures check their weights by failing, each in its own way
        reason = " ".join(str(error).split())[:160]  # the first line of PyTorch's message says nothing
        raise WeightsError(f"{name}: its weights do not fit together ({reason}).") from error
    if not isinstance(model, spandrel.ImageModelDescriptor) or model.purpose == "FaceSR":
        raise WeightsError(f"{name}: a model for {model.purpose}; only models that turn pictures into pictures fit.")
    return model


def check_spandrel() -> None:
    """Raise UsageError, naming the remedy, if spandrel is not installed."""
    if importlib.util.find_spec("spandrel") is None:
        raise UsageError("models from .pth and .safetensors files need spandrel: pip install 'deepclarity[models]'")


def import_spandrel() -> Any:
    """Import spandrel; UsageError if it is missing."""
    check_spandrel()
    import_torchvision()
    try:
        return importlib.import_module("spandrel")
    except ImportError as error:
        raise UsageError(f"spandrel cannot be imported ({error}): pip install 'deepclarity[models]'") from error


def _version() -> str:
    return importlib.metadata.version("spandrel")


@contextlib.contextmanager
def _widest_output(module: nn.Module) -> Iterator[list[int]]:
    """Record the size in bytes of the largest tensor that a layer returns, in a list of one number."""
    widest = [0]

    def record(layer: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            widest[0] = max(widest[0], output.numel() * output.element_size())

    hooks = [layer.register_forward_hook(record) for layer in module.modules()]
    try:
        yield widest
    finally:
        for hook in hooks:
            hook.remove()
