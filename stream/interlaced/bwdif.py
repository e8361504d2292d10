"""FFmpeg's filters for interlaced pictures, through PyAV: field order labels and the deinterlacer bwdif."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from .modes import FieldOrder

_TICK = Fraction(1, 1000)
"""Time base inside the graphs: pictures are numbered there, and get their timestamps back behind them."""


class Bwdif:
    """Deinterlaces the pictures that have a field order; the others only pass, as neighbours in time.

    Every picture comes out one call late: the filter needs the next one.
    """

    def __init__(self, *, per_field: bool) -> None:
        """`per_field`: two pictures for each that has a field order instead of one."""
        self._mode = "send_field" if per_field else "send_frame"
        self._label = FieldLabel()
        self._chain: _Chain | None = None
        self._format: tuple[int, int, str] | None = None
        self._pushed = 0
        self._first = 0
        self._waiting: list[VideoFrame] = []

    def push(self, picture: VideoFrame, order: FieldOrder | None) -> list[list[VideoFrame]]:
        """Add a picture; returns the results of earlier ones that are complete, a list for each of them."""
        done: list[list[VideoFrame]] = []
        shape = picture.width, picture.height, picture.format.name
        if self._chain is None or shape != self._format:
            done += self.flush()
            self._format = shape
            self._chain = _Chain(picture, f"bwdif=mode={self._mode}:parity=auto:deint=interlaced")
        self._waiting += self._chain.push(self._label(picture, order), self._pushed)
        self._pushed += 1
        return done + self._complete(self._pushed - 1)

    def flush(self) -> list[list[VideoFrame]]:
        """The results of the pictures that are left."""
        if self._chain is None:
            return []
        self._waiting += self._chain.push(None, self._pushed)
        self._chain = None
        done = self._complete(self._pushed)
        self._pushed = self._first = 0
        return done

    def _complete(self, count: int) -> list[list[VideoFrame]]:
        """The results of the pictures up to number `count`; every later picture's stay."""
        done = [[each for each in self._waiting if _number(each) == number] for number in range(self._first, count)]
        self._waiting = [each for each in self._waiting if _number(each) >= count]
        self._first = count
        return done


def _number(result: VideoFrame) -> int:
    return (result.pts or 0) // 2  # bwdif counts in half ticks in both modes


class FieldOrderReader:
    """Reads the field order that the decoder reports for a picture; PyAV has no attribute for it."""

    def __init__(self) -> None:
        self._chain: _Chain | None = None
        self._format: tuple[int, int, str] | None = None

    def __call__(self, picture: VideoFrame) -> FieldOrder | None:
        """The reported order; None for a progressive picture."""
        if not picture.interlaced_frame:
            return None
        shape = picture.width, picture.height, picture.format.name
        if self._chain is None or self._format != shape:
            self._chain, self._format = _Chain(picture, "select=e='eq(interlace_type,TOPFIRST)'"), shape
        return FieldOrder.TOP if list(self._chain.push(picture, 0)) else FieldOrder.BOTTOM


class FieldLabel:
    """Labels pictures as interlaced or progressive: filters and encoders go by that label."""

    def __init__(self) -> None:
        self._chains: dict[tuple[int, int, str, FieldOrder | None], _Chain] = {}

    def __call__(self, picture: VideoFrame, order: FieldOrder | None) -> VideoFrame:
        """The same samples, labelled; None is progressive. `picture` itself stays unchanged."""
        key = picture.width, picture.height, picture.format.name, order
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = _Chain(picture, f"setfield=mode={order or 'prog'}")
        return next(chain.push(picture, 0))


class _Chain:
    """A graph of one filter."""

    def __init__(self, like: VideoFrame, filters: str) -> None:
        """`like`: a picture of the size and format of all that are to come."""
        name, _, arguments = filters.partition("=")
        self._graph = Graph()
        source = self._graph.add_buffer(width=like.width, height=like.height, format=like.format, time_base=_TICK)
        node, sink = self._graph.add(name, arguments), self._graph.add("buffersink")
        source.link_to(node)
        node.link_to(sink)
        self._graph.configure()

    def push(self, picture: VideoFrame | None, number: int) -> Iterator[VideoFrame]:
        """Yield what comes out once `picture` is in; None is the end. The graph counts it as picture `number`."""
        if picture is None:
            self._graph.vpush(None)
        else:
            pts, time_base = picture.pts, picture.time_base
            picture.pts, picture.time_base = number, _TICK
            try:
                self._graph.vpush(picture)
            finally:
                picture.pts = pts
                if time_base is not None:
                    picture.time_base = time_base
        while True:
            try:
                yield self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def weave_pictures(top: VideoFrame, bottom: VideoFrame) -> VideoFrame:
    """A new picture of the even rows of `top` and the odd rows of `bottom`; equal in size and format."""
    woven = VideoFrame(top.width, top.height, top.format.name)
    for target, even, odd in zip(woven.planes, top.planes, bottom.planes, strict=True):
        rows, width = _rows(target), min(target.line_size, even.line_size, odd.line_size)
        rows[::2, :width] = _rows(even)[::2, :width]
        rows[1::2, :width] = _rows(odd)[1::2, :width]
    woven.colorspace, woven.color_range = top.colorspace, top.color_range
    woven.color_primaries, woven.color_trc = top.color_primaries, top.color_trc
    return woven


def _rows(plane: av.video.plane.VideoPlane) -> np.ndarray:
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
