"""Quality metrics against a ground truth: PSNR, SSIM, LPIPS, and flicker of video."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import DeviceError, InputError, WeightsError

from .verdict import Bytes

if TYPE_CHECKING:
    from torch import Tensor

Levels = NDArray[np.uint8] | NDArray[np.float64]
"""Samples in 8-bit levels, 0..255."""

_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_OFFSETS = np.array([16.0, 128.0, 128.0])

_MAX_DB = 100.0
_WINDOW_PX, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

_MEAN, _DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_SHAPES = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))
_MIN_LPIPS_PX = 31
_MAX_CACHED = 4


def ycbcr_of(rgb: Bytes) -> NDArray[np.float64]:
    """Y'CbCr of BT.601 in studio range, as MATLAB's rgb2ycbcr before it rounds.

    `rgb`: uint8 (height, width, 3). Returns float64 of that shape: Y' in 16..235, Cb and Cr in 16..240.
    """
    converted: NDArray[np.float64] = rgb.astype(np.float64) @ _YCBCR.T + _OFFSETS
    return converted


def luma_of(rgb: Bytes) -> NDArray[np.float64]:
    """Y' of `ycbcr_of`: uint8 (height, width, 3) RGB to float64 (height, width) in 16..235."""
    luma: NDArray[np.float64] = rgb.astype(np.float64) @ _YCBCR[0] + _OFFSETS[0]
    return luma


def rgb_from(ycbcr: NDArray[np.float64]) -> Bytes:
    """The inverse of `ycbcr_of`, rounded and clipped: uint8 (height, width, 3) RGB."""
    rgb = (ycbcr - _OFFSETS) @ np.linalg.inv(_YCBCR).T
    return np.asarray((rgb + 0.5).clip(0, 255), np.uint8)


def psnr(output: Levels, truth: Levels, border_px: int = 4) -> float:
    """Peak signal-to-noise ratio in dB, peak 255, without `border_px` on every side; 100 dB for equal planes.

    `output`, `truth`: (height, width) or (height, width, channels), in 0..255. Raises InputError for different shapes.
    """
    one, other = _inside(output, truth, border_px, min_px=1)
    error = float(np.mean((one - other) ** 2))
    return min(_MAX_DB, float(10 * np.log10(255**2 / error))) if error else _MAX_DB


def ssim(output: Levels, truth: Levels, border_px: int = 4) -> float:
    """Mean structural similarity, at most 1 (Wang, Bovik, Sheikh and Simoncelli 2004).

    `output`, `truth`: (height, width), in 0..255; `border_px` are left out on every side. As the authors compute it:
    Gaussian window of 11×11, sigma 1.5, K1 = 0.01, K2 = 0.03, L = 255, and only where the window lies inside.
    """
    x, y = _inside(output, truth, border_px, min_px=_WINDOW_PX)
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x, variance_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float(np.mean(similarity / ((mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2))))


def flicker(frames: Sequence[Levels], truth: Sequence[Levels], *, still_levels: float = 2) -> float | None:
    """Mean change of `frames` where the truth is still, in levels of 0..255; None if no pixel is still.

    The mean of |frames[t] - frames[t-1]| over all pixels and times at which |truth[t] - truth[t-1]| <=
    `still_levels`. It measures temporal errors alone: a repair that invents different detail in every frame flickers,
    one that makes the same error in all of them does not. The flicker of the truth itself is the lower bound.
    `frames`, `truth`: the same number of (height, width) planes, in order.
    """
    moved, still = 0.0, 0
    pairs = list(zip(frames, truth, strict=True))
    for (out, source), (out_before, source_before) in zip(pairs[1:], pairs, strict=False):
        still_pixels = np.abs(source.astype(np.float64) - source_before) <= still_levels
        moved += float(np.abs(out.astype(np.float64) - out_before)[still_pixels].sum())
        still += int(still_pixels.sum())
    return moved / still if still else None


class Lpips:
    """LPIPS v0.1 on AlexNet (Zhang, Isola, Efros, Shechtman and Wang 2018): 0 for equal pictures, lower is better."""

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        """Read the weights at `path`, an .npz of convN.weight (OIHW), convN.bias and linN, N 0..4, float32.

        Raises WeightsError for an unusable file, DeviceError for an unusable device.
        """
        import torch  # 1 s of imports that only this metric needs

        arrays = _read_weights(path)
        try:
            tensors = {key: torch.from_numpy(value).to(device) for key, value in arrays.items()}
        except (RuntimeError, AssertionError) as error:  # an assertion if torch was built without CUDA
            raise DeviceError(f"torch cannot use '{device}' for LPIPS; use --device cpu") from error
        self._layers = [
            (tensors[f"conv{n}.weight"], tensors[f"conv{n}.bias"], tensors[f"lin{n}"].view(-1, 1, 1)) for n in range(5)
        ]
        self._device = device
        self._cache: dict[tuple[tuple[int, ...], bytes], list[Tensor]] = {}

    def __call__(self, output: Bytes, truth: Bytes) -> float:
        """The distance of two uint8 (height, width, 3) RGB pictures of the same size, sides of at least 31 pixels."""
        import torch

        _check_same(output, truth, min_px=_MIN_LPIPS_PX)
        with torch.inference_mode():
            pairs = zip(self._features(output), self._features_of_truth(truth), self._layers, strict=True)
            return float(sum(((one - other) ** 2 * linear).sum(0).mean() for one, other, (_, _, linear) in pairs))

    def _features_of_truth(self, truth: Bytes) -> list[Tensor]:
        """`_features`, cached for the last few pictures, as one truth is compared with many outputs."""
        key = truth.shape, hashlib.sha256(truth.tobytes()).digest()
        if key not in self._cache:
            if len(self._cache) == _MAX_CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[key] = list(self._features(truth))
        return self._cache[key]

    def _features(self, rgb: Bytes) -> Iterator[Tensor]:
        """The features of each layer, float32 (channels, h, w), normalised over the channels."""
        import torch
        from torch.nn import functional

        x = torch.from_numpy(rgb.copy()).to(self._device).permute(2, 0, 1).float() / 127.5 - 1
        mean, deviation = (x.new_tensor(three).view(3, 1, 1) for three in (_MEAN, _DEVIATION))
        x = (x - mean) / deviation
        for number, (weight, bias, _) in enumerate(self._layers):
            if number in (1, 2):
                x = functional.max_pool2d(x, 3, stride=2)
            stride, pad = (4, 2) if number == 0 else (1, weight.shape[-1] // 2)
            x = functional.relu(functional.conv2d(x, weight, bias, stride=stride, padding=pad))
            yield x / (x.square().sum(0, keepdim=True).sqrt() + 1e-10)


def _read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    shapes: dict[str, tuple[int, ...]] = {f"conv{n}.weight": shape for n, shape in enumerate(_SHAPES)}
    shapes |= {name: (shape[0],) for n, shape in enumerate(_SHAPES) for name in (f"conv{n}.bias", f"lin{n}")}
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.float32) for name in shapes}
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path}: no readable LPIPS weights ({reason}). Give another file with --lpips.") from error
    wrong = next((name for name, shape in shapes.items() if arrays[name].shape != shape), None)
    if wrong is not None:
        actual = arrays[wrong].shape
        raise WeightsError(f"{path}: {wrong} is {actual}, not {shapes[wrong]}. Give LPIPS v0.1 AlexNet weights.")
    return arrays


def _inside(
    output: Levels, truth: Levels, border_px: int, *, min_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both without their border, as float64."""
    _check_same(output, truth, min_px=2 * border_px + min_px)
    height, width = truth.shape[:2]
    rows, columns = slice(border_px, height - border_px), slice(border_px, width - border_px)
    return output[rows, columns].astype(np.float64), truth[rows, columns].astype(np.float64)


def _check_same(output: NDArray[Any], truth: NDArray[Any], *, min_px: int) -> None:
    if output.shape != truth.shape:
        raise InputError(f"pictures of {output.shape} and {truth.shape} cannot be compared: give both the same size")
    if min(truth.shape[:2]) < min_px:
        raise InputError(f"a picture of {truth.shape} is too small to compare: sides of at least {min_px} are needed")


def _windowed(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian-weighted means of `plane` (h, w) where the window lies inside: (h - 10, w - 10)."""
    kernel = cv2.getGaussianKernel(_WINDOW_PX, _SIGMA, cv2.CV_64F)
    half = _WINDOW_PX // 2
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)[half:-half, half:-half], np.float64)
