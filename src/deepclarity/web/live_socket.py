"""WebSocket endpoint of the live view: camera frames in, verdicts and repaired frames out.

A message from the browser is either text (settings as JSON) or binary: a header of one JSON line, then a picture as raw
I420 or NV12 planes or as a JPEG. Each picture is answered with such a header and, if the frame was repaired, the
picture in the same format (NV12 as I420). The browser limits the frames in flight and drops the others itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from PIL import Image
from starlette.websockets import WebSocket, WebSocketDisconnect

from deepclarity.models.colour import YCbCr
from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
from deepclarity.models.enhancer import Enhancer, PlanesEnhancer
from deepclarity.models.load import load_enhancer
from deepclarity.pipelines.blend import restore_locally
from deepclarity.pipelines.detect import detect
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.restore import restore
from deepclarity.pipelines.route import FrameSelection, Routed, Routing, route
from deepclarity.stream.files.still import Picture
from deepclarity.stream.frame import Frame, Planes

from .errors import RefusedError
from .limits import Limits
from .messages import error_message
from .model_cache import Tiers

_IDLE_TIMEOUT_S = 20.0
_JPEG_QUALITY = 90
_MAX_ENHANCERS = 2


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """A picture from the browser's camera."""

    format: str
    """`I420`, `NV12` or `JPEG`."""
    planes: Planes
    full_range: bool


class LiveSession:
    """The detection and repair pipeline of one camera."""

    def __init__(
        self, limits: Limits, *, device: str = "auto", tier: str = "turbo", tiers: Tiers | None = None
    ) -> None:
        self._limits, self._device, self._tier = limits, device, tier
        self._tiers = tiers or Tiers()
        self._detector = load_detector(DEFAULT_DETECTOR)
        self._enhancers: dict[str, Enhancer] = {}
        self._summary = Summary()
        self._index = 0
        self._frame: Frame | None = None
        self._routed = self._build_pipeline(FrameSelection.PIXELATED)

    def configure(self, settings: dict[str, Any]) -> None:
        """Change `tier` and `which` (frames are repaired); RefusedError for unknown values."""
        tier, which = settings.get("tier", self._tier), settings.get("which", "pixelated")
        valid_types = isinstance(tier, str) and isinstance(which, str)
        if not valid_types or tier not in self._tiers.names or which not in set(FrameSelection):
            raise RefusedError("There is no such setting.")
        self._tier = tier
        self._routed = self._build_pipeline(FrameSelection(which))

    def process(self, message: bytes) -> bytes:
        """Detect and repair the frame in a binary message, and return the answer to it."""
        start = time.perf_counter()
        received = decode_message(message, self._limits)
        self._frame = Frame(
            received.planes,
            self._index,
            pts=time.monotonic_ns(),
            time_base=Fraction(1, 10**9),
            full_range=received.full_range,
        )
        self._index += 1
        routed = next(self._routed)
        picture = self._repair(routed, received) if routed.lane is Lane.ENHANCE else b""
        verdict = routed.scored.verdict
        header = {
            "repaired": bool(picture),
            "kind": verdict.kind,
            "score": round(verdict.score, 3),
            "block_px": round(routed.blocks.width_px, 2) if routed.blocks else None,
            "ms": round((time.perf_counter() - start) * 1000, 2),
        }
        return json.dumps(header).encode() + b"\n" + picture

    def close(self) -> None:
        """Release device memory."""
        for enhancer in self._enhancers.values():
            enhancer.close()

    def _repair(self, routed: Routed, received: CameraFrame) -> bytes:
        luma, blue, _ = received.planes
        height, width = luma.shape
        subsampling = round(width / blue.shape[1]), round(height / blue.shape[0])
        size, enhancer = (width, height), self._enhancer()
        if routed.blocks is None:
            planes: Planes | None = restore(
                received.planes, enhancer=enhancer, blocks=None, size=size, max_value=255, subsampling=subsampling
            )
        else:
            planes = restore_locally(
                received.planes, enhancer=enhancer, blocks=routed.blocks, size=size, max_value=255,
                subsampling=subsampling,
            )  # fmt: skip
        return encode_picture(replace(received, planes=planes)) if planes is not None else b""

    def _enhancer(self) -> Enhancer:
        if self._tier not in self._enhancers:
            while len(self._enhancers) >= _MAX_ENHANCERS:
                self._enhancers.pop(next(iter(self._enhancers))).close()
            loaded = load_enhancer(self._tiers.model_of(self._tier), device=self._device)
            if isinstance(loaded, PlanesEnhancer):
                loaded = loaded.for_colour(self._colour)
            self._enhancers[self._tier] = loaded
        return self._enhancers[self._tier]

    def _colour(self) -> YCbCr:
        """How the planes of the current frame encode colour: as BT.601, like JPEG and most cameras."""
        return YCbCr(full_range=self._frame is None or self._frame.full_range)

    def _build_pipeline(self, which: FrameSelection) -> Iterator[Routed]:
        """The pipeline's detect and route stages without look-ahead, which would add latency."""
        scored = detect(self._frames(), self._detector, self._summary)
        routing = Routing(which=which, confirm_frames=0)
        return route(scored, routing, resize=False, enlarge=which is FrameSelection.ALL, summary=self._summary)

    def _frames(self) -> Iterator[Frame]:
        while True:
            assert self._frame is not None
            yield self._frame


def decode_message(message: bytes, limits: Limits) -> CameraFrame:
    """The frame in a binary message; RefusedError if it is invalid or too large."""
    line, _, data = message.partition(b"\n")
    try:
        header = json.loads(line) if len(line) < 1000 else {}
        form, width, height = str(header["form"]), int(header["width"]), int(header["height"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusedError("This is not a valid camera frame.") from None
    if form == "JPEG":
        return _decode_jpeg(data, limits)
    if form not in ("I420", "NV12") or min(width, height) < 2 or width * height > limits.live_px:
        raise RefusedError(
            f"Camera frames must be I420, NV12 or JPEG, of at most {limits.live_px / 1e6:.1f} megapixels."
        )
    luma_bytes, chroma_shape = width * height, ((height + 1) // 2, (width + 1) // 2)
    chroma_bytes = chroma_shape[0] * chroma_shape[1]
    if len(data) != luma_bytes + 2 * chroma_bytes:
        raise RefusedError("This camera frame is incomplete.")
    samples = np.frombuffer(data, np.uint8)
    luma, chroma = samples[:luma_bytes].reshape(height, width), samples[luma_bytes:]
    if form == "I420":
        blue, red = chroma[:chroma_bytes].reshape(chroma_shape), chroma[chroma_bytes:].reshape(chroma_shape)
    else:
        blue, red = (np.ascontiguousarray(chroma[k::2]).reshape(chroma_shape) for k in (0, 1))
    return CameraFrame(form, (luma, blue, red), bool(header.get("full", False)))


def _decode_jpeg(data: bytes, limits: Limits) -> CameraFrame:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            fits = image.size[0] * image.size[1] <= limits.live_px
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        fits = False
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if fits else None
    if pixels is None or min(pixels.shape[:2]) < 2:
        raise RefusedError("This is not a valid camera frame.")
    return CameraFrame("JPEG", Picture(np.asarray(pixels, np.uint8)).planes, full_range=True)


def encode_picture(frame: CameraFrame) -> bytes:
    """The picture in its original format; NV12 as I420."""
    if frame.format != "JPEG":
        return b"".join(np.ascontiguousarray(plane).tobytes() for plane in frame.planes)
    luma, blue, red = frame.planes
    bgr = cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


class LiveEndpoint:
    """The WebSocket handler: limits the number of connected cameras and runs a session for each."""

    def __init__(
        self, limits: Limits, *, device: str = "auto", tier: str = "turbo", tiers: Tiers | None = None
    ) -> None:
        self._limits, self._device, self._tier, self._tiers = limits, device, tier, tiers
        self._connections = 0

    async def serve(self, socket: WebSocket) -> None:
        """Serve one camera until it disconnects."""
        await socket.accept()
        if self._connections >= self._limits.max_live_connections:
            await self._close_with_error(socket, "Others are using the live view. Try again in a moment.")
            return
        self._connections += 1
        try:
            with contextlib.closing(
                await asyncio.to_thread(
                    LiveSession, self._limits, device=self._device, tier=self._tier, tiers=self._tiers
                )
            ) as session:
                await self._run(socket, session)
        finally:
            self._connections -= 1

    async def _run(self, socket: WebSocket, session: LiveSession) -> None:
        try:
            while True:
                message = await asyncio.wait_for(socket.receive(), timeout=_IDLE_TIMEOUT_S)
                if message["type"] == "websocket.disconnect":
                    return
                if message.get("text") is not None:
                    session.configure(_parse_settings(message["text"]))
                elif message.get("bytes") is not None:
                    answer = asyncio.ensure_future(asyncio.to_thread(session.process, message["bytes"]))
                    try:
                        data = await asyncio.shield(answer)
                    finally:
                        await asyncio.wait([answer])  # never close the session while its network is running
                    await asyncio.wait_for(socket.send_bytes(data), timeout=_IDLE_TIMEOUT_S)
        except TimeoutError:
            await self._close_with_error(socket, "No frame arrived from the camera for a while.")
        except WebSocketDisconnect:
            return
        except Exception as error:  # the client gets a message, and the connection is released
            await self._close_with_error(socket, error_message(error))

    async def _close_with_error(self, socket: WebSocket, text: str) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.send_text(json.dumps({"refused": text}))
            await socket.close(1008)


def _parse_settings(text: str) -> dict[str, Any]:
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise RefusedError("There is no such setting.")
    return settings
