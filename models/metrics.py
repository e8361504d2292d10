"""How near a picture comes to the truth, and how calm a video stays: the measures that the field reports."""

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

if TYPE_CHECKING:
    from torch import Tensor

Bytes = NDArray[np.uint8]
Levels = NDArray[np.uint8] | NDArray[np.float64]
"""Samples on the scale of 8 bits, 0..255."""

_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
_OFFSETS = np.array([16.0, 128.0, 128.0])

_EQUAL_DB = 100.0
_TAPS, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

_MEAN, _SPREAD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_SHAPES = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))
_SMALLEST_PX = 31
_KEPT = 4


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
    """`ycbcr_of` undone, rounded and clipped: uint8 (height, width, 3) RGB."""
    rgb = (ycbcr - _OFFSETS) @ np.linalg.inv(_YCBCR).T
    return np.asarray((rgb + 0.5).clip(0, 255), np.uint8)


def psnr(found: Levels, truth: Levels, border_px: int = 4) -> float:
    """Peak signal-to-noise ratio in dB, peak 255, `border_px` left out on every side; equal planes count as 100 dB.

    `found`, `truth`: (height, width) or (height, width, channels), on the scale 0..255.
    """
    one, other = _inside(found, truth, border_px, least_px=1)
    error = float(np.mean((one - other) ** 2))
    return min(_EQUAL_DB, float(10 * np.log10(255**2 / error))) if error else _EQUAL_DB


def ssim(found: Levels, truth: Levels, border_px: int = 4) -> float:
    """Mean structural similarity, at most 1 (Wang, Bovik, Sheikh and Simoncelli 2004), `border_px` left out.

    `found`, `truth`: (height, width), on the scale 0..255. As the authors compute it: Gaussian window of 11×11,
    sigma 1.5, K1 = 0.01, K2 = 0.03, L = 255, and only where the window lies inside.
    """
    x, y = _inside(found, truth, border_px, least_px=_TAPS)
    mean_x, mean_y = _windowed(x), _windowed(y)
    spread_x, spread_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    shared = _windowed(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _C1) * (2 * shared + _C2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + _C1) * (spread_x + spread_y + _C2))))


def flicker(frames: Sequence[Levels], truth: Sequence[Levels], *, still_levels: float = 2) -> float | None:
    """How much `frames` move where the truth stands still, in levels of 0..255; None where nothing stands still.

    The mean of |frames[t] - frames[t-1]| over all pixels and times at which |truth[t] - truth[t-1]| <=
    `still_levels`. It counts what is wrong in time alone: a repair that invents other detail in every frame
    flickers, one that is wrong in the same way in all of them does not. The truth's own value is the floor.
    `frames`, `truth`: equally many (height, width) planes in order.
    """
    moved, still = 0.0, 0
    pairs = list(zip(frames, truth, strict=True))
    for (out, source), (out_before, source_before) in zip(pairs[1:], pairs, strict=False):
        calm = np.abs(source.astype(np.float64) - source_before) <= still_levels
        moved += float(np.abs(out.astype(np.float64) - out_before)[calm].sum())
        still += int(calm.sum())
    return moved / still if still else None


class Lpips:
    """LPIPS v0.1 on AlexNet (Zhang, Isola, Efros, Shechtman and Wang 2018): 0 for equal pictures, less is nearer."""

    def __init__(self, path: Path, *, device: str = "cpu") -> None:
        """Read the weights at `path`, an .npz of convN.weight (OIHW), convN.bias and linN, N 0..4, float32."""
        import torch  # a second of imports that only this measure needs

        arrays = _read_weights(path)
        try:
            tensors = {key: torch.from_numpy(value).to(device) for key, value in arrays.items()}
        except (RuntimeError, AssertionError) as error:  # an assertion where torch was built without CUDA
            raise DeviceError(f"torch cannot use '{device}' for LPIPS; use --device cpu") from error
        self._layers = [
            (tensors[f"conv{n}.weight"], tensors[f"conv{n}.bias"], tensors[f"lin{n}"].view(-1, 1, 1)) for n in range(5)
        ]
        self._device = device
        self._known: dict[tuple[tuple[int, ...], bytes], list[Tensor]] = {}

    def __call__(self, found: Bytes, truth: Bytes) -> float:
        """The distance of two uint8 (height, width, 3) RGB pictures of one size, sides of 31 pixels and more."""
        import torch

        _check_same(found, truth, least_px=_SMALLEST_PX)
        with torch.inference_mode():
            pairs = zip(self._features(found), self._features_of_truth(truth), self._layers, strict=True)
            return float(sum(((one - other) ** 2 * linear).sum(0).mean() for one, other, (_, _, linear) in pairs))

    def _features_of_truth(self, truth: Bytes) -> list[Tensor]:
        """`_features`, kept for the last few pictures: one truth is compared with many."""
        key = truth.shape, hashlib.sha256(truth.tobytes()).digest()
        if key not in self._known:
            if len(self._known) == _KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = list(self._features(truth))
        return self._known[key]

    def _features(self, rgb: Bytes) -> Iterator[Tensor]:
        """Each layer's features, float32 (channels, h, w), of unit length over the channels."""
        import torch
        from torch.nn import functional

        x = torch.from_numpy(rgb.copy()).to(self._device).permute(2, 0, 1).float() / 127.5 - 1
        mean, spread = (x.new_tensor(three).view(3, 1, 1) for three in (_MEAN, _SPREAD))
        x = (x - mean) / spread
        for number, (weight, bias, _) in enumerate(self._layers):
            if number in (1, 2):
                x = functional.max_pool2d(x, 3, stride=2)
            stride, pad = (4, 2) if number == 0 else (1, weight.shape[-1] // 2)
            x = functional.relu(functional.conv2d(x, weight, bias, stride=stride, padding=pad))
            yield x / (x.square().sum(0, keepdim=True).sqrt() + 1e-10)


def _read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    wanted: dict[str, tuple[int, ...]] = {f"conv{n}.weight": shape for n, shape in enumerate(_SHAPES)}
    wanted |= {name: (shape[0],) for n, shape in enumerate(_SHAPES) for name in (f"conv{n}.bias", f"lin{n}")}
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.float32) for name in wanted}
    except (OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{path}: no LPIPS weights can be read ({reason}). Name another with --lpips.") from error
    odd = next((name for name, shape in wanted.items() if arrays[name].shape != shape), None)
    if odd is not None:
        found = arrays[odd].shape
        raise WeightsError(f"{path}: {odd} is {found}, not {wanted[odd]}. Name LPIPS v0.1 AlexNet weights.")
    return arrays


def _inside(
    found: Levels, truth: Levels, border_px: int, *, least_px: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both without their border, as float64."""
    _check_same(found, truth, least_px=2 * border_px + least_px)
    height, width = truth.shape[:2]
    rows, columns = slice(border_px, height - border_px), slice(border_px, width - border_px)
    return found[rows, columns].astype(np.float64), truth[rows, columns].astype(np.float64)


def _check_same(found: NDArray[Any], truth: NDArray[Any], *, least_px: int) -> None:
    if found.shape != truth.shape:
        raise InputError(f"pictures of {found.shape} and {truth.shape} cannot be compared: give both one size")
    if min(truth.shape[:2]) < least_px:
        raise InputError(f"a picture of {truth.shape} is too small to compare: sides of {least_px} are needed")


def _windowed(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means of `plane` (h, w) where the window lies inside: (h - 10, w - 10)."""
    kernel = cv2.getGaussianKernel(_TAPS, _SIGMA, cv2.CV_64F)
    half = _TAPS // 2
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_64F, kernel, kernel)[half:-half, half:-half], np.float64)
