"""Videos, one at a time: they stand in line, are repaired in a thread, can be stopped, and say how far they are."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.route import Which
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.info import VideoInfo

from .messages import RefusedError
from .model_cache import tiers
from .security.content_check import look_at_video
from .security.limits import MEBI, Limits
from .storage.results import ResultStore, download_name

_EVERY_S = 0.3
_ROOM_BYTES = 512 * MEBI


class StoppedError(Exception):
    """Whoever asked for the video does not want it any more."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a video; every field is checked, as they come from a stranger."""

    tier: str = "auto"
    every_frame: bool = False
    full_hd: bool = True
    container: str = "mp4"

    @classmethod
    def of(cls, tier: object, every_frame: object, full_hd: object, container: object) -> Wish:
        """A wish from what a request holds; RefusedError where it makes no sense."""
        if not isinstance(tier, str) or tier not in ("auto", *tiers()):
            raise RefusedError(f"There is no such tier. Choose one of auto, {', '.join(tiers())}.")
        if container not in ("mp4", "mkv"):
            raise RefusedError("There is no such container. Choose mp4 or mkv.")
        return cls(tier, bool(every_frame), bool(full_hd), str(container))


@dataclass(frozen=True, slots=True)
class Step:
    """How far a video is."""

    ahead: int = 0
    """Videos in the line before it."""
    done: int = 0
    total: int | None = None
    repaired: int = 0
    frames_per_s: float = 0.0
    result: Result | None = None

    @property
    def left_s(self) -> float | None:
        """Seconds to go, as far as that is known."""
        if not self.total or not self.frames_per_s or self.done < 5:
            return None
        return max(0.0, self.total - self.done) / self.frames_per_s


@dataclass(frozen=True, slots=True)
class Result:
    """A repaired video."""

    video: Path
    report: Path
    summary: Summary


@dataclass(slots=True)
class _Watch:
    """Called by the corridor after every frame."""

    most: int
    stop: bool = False
    done: int = 0
    total: int | None = None
    repaired: int = 0
    began: float = field(default_factory=time.monotonic)

    def __call__(self, summary: Summary, info: VideoInfo) -> None:
        self.done, self.total, self.repaired = summary.frames_out, info.expected_frames, summary.repaired
        if self.stop:
            raise StoppedError
        if self.done > self.most:
            raise RefusedError(f"This video has too many frames: at most {self.most:,} are taken.")

    def step(self) -> Step:
        total = max(self.total, self.done) if self.total else None
        return Step(0, self.done, total, self.repaired, self.done / max(1e-3, time.monotonic() - self.began))


class Videos:
    """The line of videos. Everything here runs on the server's event loop, so that nothing needs a lock."""

    def __init__(self, store: ResultStore, limits: Limits, *, device: str = "auto") -> None:
        self._store, self._limits, self._device = store, limits, device
        self._line: list[_Watch] = []
        self._of_session: dict[str, _Watch] = {}

    def stop(self, session: str) -> bool:
        """Stop what a visitor has going; False where there is nothing."""
        watch = self._of_session.get(session)
        if watch is not None:
            watch.stop = True
        return watch is not None

    def stop_all(self) -> None:
        """The server closes."""
        for watch in self._line:
            watch.stop = True

    async def repair(self, payload: object, wish: Wish, *, session: str) -> AsyncGenerator[Step, None]:
        """Repair an uploaded video, telling how far it is; the last step has the result.

        RefusedError at once or later; StoppedError when `stop` was called. Closing the generator stops it, too.
        """
        source = self._store.uploaded(payload)
        with self._store.hold(source):
            async with contextlib.aclosing(self._repair(source, payload, wish, session)) as steps:
                async for step in steps:
                    yield step

    async def _repair(self, source: Path, payload: object, wish: Wish, session: str) -> AsyncGenerator[Step, None]:
        demuxer, seen = await asyncio.to_thread(look_at_video, source, self._limits)
        self._check_room(source)
        target = self._store.place(download_name(payload, f".clear.{wish.container}"))
        size = "auto" if wish.full_hd else f"{seen.width_px}x{seen.height_px}"
        which = Which.ALL if wish.every_frame else Which.PIXELATED
        preset = Preset(model=wish.tier, which=which, size=size, device=self._device)
        job = Job(source, target, preset, report=target.with_name("report.html"), demuxer=demuxer)
        kept = False
        async with contextlib.aclosing(self._in_turn(job, session)) as steps:
            try:
                async for step in steps:
                    kept = kept or step.result is not None
                    yield step
            finally:
                if not kept:
                    self._store.forget(target)

    async def _in_turn(self, job: Job, session: str) -> AsyncGenerator[Step, None]:
        watch = self._join(session)
        work: asyncio.Task[Summary] | None = None
        try:
            while ahead := self._line.index(watch):
                yield Step(ahead=ahead)
                if watch.stop:
                    raise StoppedError
                await asyncio.sleep(_EVERY_S)
            watch.began = time.monotonic()
            work = asyncio.ensure_future(asyncio.to_thread(upscale, job, progress=watch))
            while not work.done():
                yield watch.step()
                await asyncio.wait([work], timeout=_EVERY_S)
            assert job.report is not None
            result = Result(job.output, job.report, work.result())
        finally:
            watch.stop = True
            if work is not None:
                await self._ended(work)
            self._line.remove(watch)
            if self._of_session.get(session) is watch:
                del self._of_session[session]
        yield Step(0, watch.done, watch.done, watch.repaired, result.summary.frames_per_s, result)

    @staticmethod
    async def _ended(work: asyncio.Task[Summary]) -> None:
        """Wait until the thread has let go, even if that is not waited for any more."""
        cancelled: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
        if not work.cancelled():
            work.exception()  # told above, or nobody is left to tell
        if cancelled is not None:
            raise cancelled

    def _join(self, session: str) -> _Watch:
        if session in self._of_session:
            raise RefusedError("One of your videos is being repaired already. Wait for it, or cancel it.")
        if len(self._line) > self._limits.videos_waiting:
            raise RefusedError("Too many videos are waiting. Try again in a few minutes.")
        watch = _Watch(self._limits.video_frames)
        self._line.append(watch)
        self._of_session[session] = watch
        return watch

    def _check_room(self, source: Path) -> None:
        needed = _ROOM_BYTES + 4 * source.stat().st_size
        if shutil.disk_usage(self._store.folder).free < needed:
            raise RefusedError("The server has no room for another video now. Try again later.")
