"""The browser's camera over a WebSocket: frames in, verdicts and repaired frames out, one after the other.

A message from the browser is text (settings, JSON) or binary: a head of one JSON line, then a picture, either raw
I420 or NV12 planes or a JPEG. The answer to each picture is a head of the same kind and, where the frame was
repaired, the picture in the form it came in. The browser keeps few frames on the way and drops the others itself.
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

from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import load_enhancer
from deepclarity.pipelines.detect import detect
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.restore import restore
from deepclarity.pipelines.route import Routed, Routing, Which, route
from deepclarity.stream.files.still import Picture
from deepclarity.stream.frame import Frame, Planes

from .messages import RefusedError, plain
from .model_cache import tiers
from .security.limits import Limits

_SILENCE_S = 20.0
_QUALITY = 90
_TIERS_KEPT = 2


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture from the browser."""

    form: str
    """`I420`, `NV12` or `JPEG`."""
    planes: Planes
    full_range: bool


class Live:
    """The corridor for one camera."""

    def __init__(self, limits: Limits, *, device: str = "auto", tier: str = "turbo") -> None:
        self._limits, self._device, self._tier = limits, device, tier
        self._detector = load_detector(DEFAULT_DETECTOR)
        self._enhancers: dict[str, Enhancer] = {}
        self._summary = Summary()
        self._index = 0
        self._next: Frame | None = None
        self._route = self._routes(Which.PIXELATED)

    def set(self, wish: dict[str, Any]) -> None:
        """Change tier or which frames are repaired; RefusedError for what there is not."""
        tier, which = wish.get("tier", self._tier), wish.get("which", "pixelated")
        known = isinstance(tier, str) and isinstance(which, str)
        if not known or tier not in tiers() or which not in set(Which):
            raise RefusedError("There is no such setting.")
        self._tier = tier
        self._route = self._routes(Which(which))

    def answer(self, message: bytes) -> bytes:
        """One picture in, its verdict and, where it was repaired, the picture out."""
        began = time.perf_counter()
        sent = read(message, self._limits)
        self._next = Frame(
            sent.planes, self._index, pts=time.monotonic_ns(), time_base=Fraction(1, 10**9), full_range=sent.full_range
        )
        self._index += 1
        routed = next(self._route)
        picture = self._repaired(routed, sent) if routed.lane is Lane.ENHANCE else b""
        verdict = routed.scored.verdict
        head = {
            "repaired": bool(picture),
            "kind": verdict.kind,
            "score": round(verdict.score, 3),
            "block_px": round(routed.blocks.width_px, 2) if routed.blocks else None,
            "ms": round((time.perf_counter() - began) * 1000, 2),
        }
        return json.dumps(head).encode() + b"\n" + picture

    def close(self) -> None:
        """Give back what the device holds."""
        for enhancer in self._enhancers.values():
            enhancer.close()

    def _repaired(self, routed: Routed, sent: Sent) -> bytes:
        luma, blue, _ = sent.planes
        height, width = luma.shape
        ratios = round(width / blue.shape[1]), round(height / blue.shape[0])
        planes = restore(
            sent.planes, enhancer=self._enhancer(), blocks=routed.blocks, size=(width, height), max_value=255,
            subsampling=ratios,
        )  # fmt: skip
        return written(replace(sent, planes=planes))

    def _enhancer(self) -> Enhancer:
        if self._tier not in self._enhancers:
            while len(self._enhancers) >= _TIERS_KEPT:
                self._enhancers.pop(next(iter(self._enhancers))).close()
            self._enhancers[self._tier] = load_enhancer(self._tier, device=self._device)
        return self._enhancers[self._tier]

    def _routes(self, which: Which) -> Iterator[Routed]:
        """The corridor's own stages; nothing is looked ahead, as that would be waited for."""
        scored = detect(self._arriving(), self._detector, self._summary)
        routing = Routing(which=which, confirm_frames=0)
        return route(scored, routing, resize=False, enlarge=which is Which.ALL, summary=self._summary)

    def _arriving(self) -> Iterator[Frame]:
        while True:
            assert self._next is not None
            yield self._next


def read(message: bytes, limits: Limits) -> Sent:
    """The picture in a message; RefusedError where it is none, or too large."""
    line, _, data = message.partition(b"\n")
    try:
        head = json.loads(line) if len(line) < 1000 else {}
        form, width, height = str(head["form"]), int(head["width"]), int(head["height"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusedError("This is not a picture from a camera.") from None
    if form == "JPEG":
        return _read_jpeg(data, limits)
    if form not in ("I420", "NV12") or min(width, height) < 2 or width * height > limits.live_px:
        raise RefusedError(f"Pictures of at most {limits.live_px / 1e6:.1f} megapixels are taken from a camera.")
    luma_bytes, half = width * height, ((height + 1) // 2, (width + 1) // 2)
    chroma_bytes = half[0] * half[1]
    if len(data) != luma_bytes + 2 * chroma_bytes:
        raise RefusedError("This picture is not whole.")
    samples = np.frombuffer(data, np.uint8)
    luma, chroma = samples[:luma_bytes].reshape(height, width), samples[luma_bytes:]
    if form == "I420":
        blue, red = chroma[:chroma_bytes].reshape(half), chroma[chroma_bytes:].reshape(half)
    else:
        blue, red = (np.ascontiguousarray(chroma[k::2]).reshape(half) for k in (0, 1))
    return Sent(form, (luma, blue, red), bool(head.get("full", False)))


def _read_jpeg(data: bytes, limits: Limits) -> Sent:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as seen:
            fits = seen.size[0] * seen.size[1] <= limits.live_px
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        fits = False
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if fits else None
    if pixels is None or min(pixels.shape[:2]) < 2:
        raise RefusedError("This is not a picture from a camera.")
    return Sent("JPEG", Picture(np.asarray(pixels, np.uint8)).planes, full_range=True)


def written(sent: Sent) -> bytes:
    """A picture in the form it came in, NV12 as I420."""
    if sent.form != "JPEG":
        return b"".join(np.ascontiguousarray(plane).tobytes() for plane in sent.planes)
    luma, blue, red = sent.planes
    bgr = cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


class Seats:
    """So many cameras are watched at once."""

    def __init__(self, limits: Limits, *, device: str = "auto", tier: str = "turbo") -> None:
        self._limits, self._device, self._tier = limits, device, tier
        self._taken = 0

    async def serve(self, socket: WebSocket) -> None:
        """Watch one camera until it goes."""
        await socket.accept()
        if self._taken >= self._limits.live_seats:
            await self._part(socket, "Others are using the live view. Try again in a moment.")
            return
        self._taken += 1
        try:
            with contextlib.closing(
                await asyncio.to_thread(Live, self._limits, device=self._device, tier=self._tier)
            ) as live:
                await self._talk(socket, live)
        finally:
            self._taken -= 1

    async def _talk(self, socket: WebSocket, live: Live) -> None:
        try:
            while True:
                message = await asyncio.wait_for(socket.receive(), timeout=_SILENCE_S)
                if message["type"] == "websocket.disconnect":
                    return
                if message.get("text") is not None:
                    live.set(_settings(message["text"]))
                elif message.get("bytes") is not None:
                    answer = asyncio.ensure_future(asyncio.to_thread(live.answer, message["bytes"]))
                    try:
                        data = await asyncio.shield(answer)
                    finally:
                        await asyncio.wait([answer])  # whatever comes, nothing is closed under a running network
                    await asyncio.wait_for(socket.send_bytes(data), timeout=_SILENCE_S)
        except TimeoutError:
            await self._part(socket, "No picture came from the camera for a while.")
        except WebSocketDisconnect:
            return
        except Exception as error:  # told in words, and the seat is free again
            await self._part(socket, plain(error))

    async def _part(self, socket: WebSocket, words: str) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.send_text(json.dumps({"refused": words}))
            await socket.close(1008)


def _settings(text: str) -> dict[str, Any]:
    try:
        wish = json.loads(text)
    except (ValueError, RecursionError):
        wish = None
    if not isinstance(wish, dict):
        raise RefusedError("There is no such setting.")
    return wish
