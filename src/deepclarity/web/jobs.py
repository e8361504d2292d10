"""Queue of video repairs: one at a time, in a worker thread, with progress and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from deepclarity.pipelines.jobs.job import Job
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.report.stretches import Stretch
from deepclarity.pipelines.route import REPAIRABLE, FrameSelection
from deepclarity.pipelines.upscale import upscale
from deepclarity.stream.info import VideoInfo

from .errors import RefusedError
from .limits import MEBI, Limits
from .model_cache import Tiers
from .security.content_check import check_video
from .storage.results import ResultStore, download_name

_PROGRESS_INTERVAL_S = 0.3
_MIN_FREE_BYTES = 512 * MEBI

DEFAULT_REPAIR = Preset().repair
"""Kinds that are repaired unless others are chosen."""


class VideoCancelledError(Exception):
    """The repair of a video was cancelled by its user."""


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """Options of a video repair. `parse` validates all of them, because they come from untrusted clients."""

    tier: str = "auto"
    """Name of a tier, or path of a model file."""
    every_frame: bool = False
    full_hd: bool = True
    container: str = "mp4"
    repair: str = DEFAULT_REPAIR
    """Kinds to repair, separated by commas."""

    @classmethod
    def parse(
        cls,
        tier: object,
        every_frame: object,
        full_hd: object,
        container: object,
        *,
        repair: object = DEFAULT_REPAIR,
        tiers: Tiers | None = None,
    ) -> VideoOptions:
        """The options in a request; RefusedError if one is invalid. `tiers`: what is offered.

        `repair`: kinds as a list, or as text separated by commas.
        """
        model = (tiers or Tiers()).model_of(tier, auto=True)
        if container not in ("mp4", "mkv"):
            raise RefusedError("There is no such container. Choose mp4 or mkv.")
        return cls(model, bool(every_frame), bool(full_hd), str(container), _parse_kinds(repair))


@dataclass(frozen=True, slots=True)
class VideoProgress:
    """Progress of a video repair."""

    ahead: int = 0
    """Videos that are ahead of it in the queue."""
    done: int = 0
    """Frames written."""
    total: int | None = None
    """Frames expected, if known."""
    repaired: int = 0
    frames_per_s: float = 0.0
    result: VideoResult | None = None
    """Set in the last report only."""

    @property
    def remaining_s(self) -> float | None:
        """Estimated time left in seconds; None if unknown."""
        if not self.total or not self.frames_per_s or self.done < 5:
            return None
        return max(0.0, self.total - self.done) / self.frames_per_s


@dataclass(frozen=True, slots=True)
class VideoResult:
    """A repaired video and its report."""

    video: Path
    report: Path
    summary: Summary
    stretches: Sequence[Stretch] = ()
    """What was done to which frames, and why."""


@dataclass(slots=True)
class _QueuedVideo:
    """A queued video. The pipeline calls it after every frame to store the progress and to check for cancellation."""

    max_frames: int
    cancelled: bool = False
    done: int = 0
    total: int | None = None
    repaired: int = 0
    start_time: float = field(default_factory=time.monotonic)

    def __call__(self, summary: Summary, info: VideoInfo) -> None:
        self.done, self.total, self.repaired = summary.frames_out, info.expected_frames, summary.repaired
        if self.cancelled:
            raise VideoCancelledError
        if self.done > self.max_frames:
            raise RefusedError(f"This video has too many frames: at most {self.max_frames:,} are allowed.")

    def progress(self) -> VideoProgress:
        total = max(self.total, self.done) if self.total else None
        frames_per_s = self.done / max(1e-3, time.monotonic() - self.start_time)
        return VideoProgress(0, self.done, total, self.repaired, frames_per_s)


class VideoQueue:
    """Repairs videos one after the other. All methods run on the server's event loop, so no locks are needed."""

    def __init__(self, store: ResultStore, limits: Limits, *, device: str = "auto", tiers: Tiers | None = None) -> None:
        self.tiers = tiers or Tiers()
        self._store, self._limits, self._device = store, limits, device
        self._queue: list[_QueuedVideo] = []
        self._by_session: dict[str, _QueuedVideo] = {}

    def cancel(self, session: str) -> bool:
        """Cancel the video of a session; False if it has none."""
        video = self._by_session.get(session)
        if video is not None:
            video.cancelled = True
        return video is not None

    def cancel_all(self) -> None:
        """Cancel every video when the server shuts down."""
        for video in self._queue:
            video.cancelled = True

    async def repair(
        self, payload: object, options: VideoOptions, *, session: str
    ) -> AsyncGenerator[VideoProgress, None]:
        """Repair an uploaded video and yield its progress; the last report contains the result.

        RefusedError if the video cannot be queued or read; VideoCancelledError after `cancel`.
        Closing the generator cancels the repair, too.
        """
        source = self._store.uploaded(payload)
        with self._store.keep(source):
            async with contextlib.aclosing(self._repair(source, payload, options, session)) as reports:
                async for progress in reports:
                    yield progress

    async def _repair(
        self, source: Path, payload: object, options: VideoOptions, session: str
    ) -> AsyncGenerator[VideoProgress, None]:
        demuxer, probed = await asyncio.to_thread(check_video, source, self._limits)
        self._check_disk_space(source)
        target = self._store.new_path(download_name(payload, f".clear.{options.container}"))
        size = "auto" if options.full_hd else f"{probed.width_px}x{probed.height_px}"
        which = FrameSelection.ALL if options.every_frame else FrameSelection.PIXELATED
        preset = Preset(model=options.tier, which=which, repair=options.repair, size=size, device=self._device)
        job = Job(source, target, preset, report=target.with_name("report.html"), demuxer=demuxer)
        has_result = False
        async with contextlib.aclosing(self._run_queued(job, session)) as reports:
            try:
                async for progress in reports:
                    has_result = has_result or progress.result is not None
                    yield progress
            finally:
                if not has_result:
                    self._store.delete(target)

    async def _run_queued(self, job: Job, session: str) -> AsyncGenerator[VideoProgress, None]:
        video = self._enqueue(session)
        task: asyncio.Task[Summary] | None = None
        try:
            while ahead := self._queue.index(video):
                yield VideoProgress(ahead=ahead)
                if video.cancelled:
                    raise VideoCancelledError
                await asyncio.sleep(_PROGRESS_INTERVAL_S)
            video.start_time = time.monotonic()
            stretches: list[Stretch] = []
            work = partial(upscale, job, progress=video, reported=lambda records: stretches.extend(records.stretches()))
            task = asyncio.ensure_future(asyncio.to_thread(work))
            while not task.done():
                yield video.progress()
                await asyncio.wait([task], timeout=_PROGRESS_INTERVAL_S)
            assert job.report is not None
            result = VideoResult(job.output, job.report, task.result(), stretches)
        finally:
            video.cancelled = True
            if task is not None:
                await wait_for_thread(task)
            self._queue.remove(video)
            if self._by_session.get(session) is video:
                del self._by_session[session]
        yield VideoProgress(0, video.done, video.done, video.repaired, result.summary.frames_per_s, result)

    def _enqueue(self, session: str) -> _QueuedVideo:
        if session in self._by_session:
            raise RefusedError("One of your videos is already being repaired. Wait for it or cancel it.")
        if len(self._queue) > self._limits.videos_waiting:
            raise RefusedError("Too many videos are waiting. Try again in a few minutes.")
        video = _QueuedVideo(self._limits.video_frames)
        self._queue.append(video)
        self._by_session[session] = video
        return video

    def _check_disk_space(self, source: Path) -> None:
        required = _MIN_FREE_BYTES + 4 * source.stat().st_size
        if shutil.disk_usage(self._store.folder).free < required:
            raise RefusedError("The server has no disk space for another video. Try again later.")


async def wait_for_thread(task: asyncio.Task[Any]) -> None:
    """Wait until the worker thread has finished, even when the waiting itself is cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if not task.cancelled():
        task.exception()  # mark it as retrieved: it was raised above, or the client is gone
    if cancelled is not None:
        raise cancelled


def _parse_kinds(repair: object) -> str:
    """Kinds to repair, as text separated by commas; RefusedError for any that cannot be repaired, and for none."""
    names = repair.split(",") if isinstance(repair, str) else repair
    kinds = [name.strip() if isinstance(name, str) else "" for name in names] if isinstance(names, list) else []
    if not kinds or not set(kinds) <= set(REPAIRABLE):
        raise RefusedError(f"Choose what to repair: one or more of {', '.join(REPAIRABLE)}.")
    return ",".join(dict.fromkeys(kinds))
