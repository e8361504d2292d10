"""Enlargement in tiles, as large as memory allows."""

from __future__ import annotations

import itertools
import math

import numpy as np

from deepclarity.errors import DeviceError

from .network import Network, Pixels

OVERLAP_PX = 32
"""How far tiles overlap: what lies further away hardly ever matters to a super-resolution network."""
_MIN_TILE_PX = 2 * OVERLAP_PX + 32
_MEMORY_SHARE = 0.5


class TiledNetwork:
    """Runs a network on pictures of any size; after running out of memory it keeps to smaller tiles."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._limit_px: float = math.inf
        """Largest area of a tile that has not failed."""

    def __call__(self, pixels: Pixels) -> Pixels:
        """Enlarge (channels, h, w) to (channels, h * scale, w * scale); DeviceError if memory does not suffice."""
        while True:
            tile = self._tile_size(pixels.shape[1:])
            try:
                return enlarge_in_tiles(self.network, pixels, tile)
            except MemoryError as error:
                height, width = tile
                if not self.network.tiled or max(tile) <= _MIN_TILE_PX or self.network.fixed_size is not None:
                    raise DeviceError(
                        f"{self.network.info.name}: out of memory even for {width}x{height} pixels. "
                        "Free some memory, use a smaller model, or --device cpu."
                    ) from error
            self._limit_px = height * width / 2  # after the handler: its traceback holds the tile's memory

    def _tile_size(self, size: tuple[int, ...]) -> tuple[int, int]:
        height, width = size
        if self.network.fixed_size is not None:
            return self.network.fixed_size
        if not self.network.tiled:
            return height, width
        affordable = self.network.available_bytes() * _MEMORY_SHARE / self.network.bytes_per_px
        limit = max(min(affordable, self._limit_px), _MIN_TILE_PX**2)
        while height * width > limit:
            if height >= width:
                height = max(_MIN_TILE_PX, -(-height // 2) + OVERLAP_PX)
            else:
                width = max(_MIN_TILE_PX, -(-width // 2) + OVERLAP_PX)
            if max(height, width) <= _MIN_TILE_PX:
                break
        return height, width


def enlarge_in_tiles(network: Network, pixels: Pixels, tile: tuple[int, int]) -> Pixels:
    """Enlarge `pixels` (channels, h, w) in overlapping tiles of exactly `tile` (height, width), or at once if it fits.

    A picture smaller than the tile is padded by its edges only if the network accepts no other size.
    """
    channels, height, width = pixels.shape
    scale = network.info.scale
    if network.fixed_size is not None:
        bottom, right = max(0, tile[0] - height), max(0, tile[1] - width)
        pixels = np.pad(pixels, ((0, 0), (0, bottom), (0, right)), mode="edge")
    rows, columns = spans(pixels.shape[1], tile[0]), spans(pixels.shape[2], tile[1])
    if len(rows) == len(columns) == 1:
        return network(pixels)[:, : height * scale, : width * scale]
    large = np.empty((channels, pixels.shape[1] * scale, pixels.shape[2] * scale), np.float32)
    for top, bottom, first_row, last_row in rows:
        for left, right, first_column, last_column in columns:
            enlarged = network(np.ascontiguousarray(pixels[:, first_row:last_row, first_column:last_column]))
            inner = enlarged[
                :,
                (top - first_row) * scale : (bottom - first_row) * scale,
                (left - first_column) * scale : (right - first_column) * scale,
            ]
            large[:, top * scale : bottom * scale, left * scale : right * scale] = inner
    return large[:, : height * scale, : width * scale]


def spans(length: int, tile: int) -> list[tuple[int, int, int, int]]:
    """(start, end, start of the tile, end of the tile) along one axis: tiles of one length that overlap."""
    if length <= tile:
        return [(0, length, 0, length)]
    overlap = min(OVERLAP_PX, tile // 4)
    count = -(-(length - 2 * overlap) // (tile - 2 * overlap))
    starts = [(length - tile) * number // (count - 1) for number in range(count)]
    edges = [0, *((first + tile + second) // 2 for first, second in itertools.pairwise(starts)), length]
    return [(edges[i], edges[i + 1], start, start + tile) for i, start in enumerate(starts)]
