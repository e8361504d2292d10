"""The video queue: order, limits, cancellation, and cleanup."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from deepclarity.web.errors import RefusedError
from deepclarity.web.jobs import VideoCancelledError, VideoOptions, VideoProgress, VideoQueue
from deepclarity.web.limits import Limits
from deepclarity.web.messages import error_message
from deepclarity.web.storage.results import ResultStore
from tests.conftest import MakeClip

SMALL = VideoOptions("lanczos", full_hd=False)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "store", retention_s=60)


@pytest.fixture
def payload(make_clip: MakeClip, store: ResultStore) -> dict[str, str]:
    """The `FileData` payload of an uploaded clip of 100 frames."""
    clip = store.folder / "clip.mp4"
    shutil.move(make_clip(count=100, size=(160, 90), pixelated=range(100)), clip)
    return {"path": str(clip), "orig_name": "my film.mp4"}


def result_names(store: ResultStore) -> list[str]:
    return [path.name for path in (store.folder / "results").rglob("*")]


async def last_report(reports: AsyncGenerator[VideoProgress, None]) -> VideoProgress:
    progress = VideoProgress()
    async for progress in reports:  # noqa: B007
        pass
    return progress


def test_last_report_contains_the_result(store: ResultStore, payload: dict[str, str]) -> None:
    progress = asyncio.run(last_report(VideoQueue(store, Limits(), device="cpu").repair(payload, SMALL, session="one")))
    assert progress.result is not None
    assert (progress.done, progress.repaired, progress.result.summary.frames_out) == (100, 100, 100)
    assert progress.result.video.name == "my_film.clear.mp4"
    assert store.find(progress.result.video.parent.name, "report.html") == progress.result.report


def test_queue_repairs_one_video_at_a_time_and_limits_waiting(store: ResultStore, payload: dict[str, str]) -> None:
    videos = VideoQueue(store, Limits(videos_waiting=1), device="cpu")

    async def scenario() -> None:
        first, second = (videos.repair(payload, SMALL, session=name) for name in ("one", "two"))
        assert (await anext(first)).ahead == 0
        assert (await anext(second)).ahead == 1
        with pytest.raises(RefusedError, match="One of your videos"):
            await anext(videos.repair(payload, SMALL, session="one"))
        with pytest.raises(RefusedError, match="Too many videos are waiting"):
            await anext(videos.repair(payload, SMALL, session="three"))
        assert (await last_report(first)).result is not None
        assert (await last_report(second)).result is not None

    asyncio.run(scenario())


def test_cancelled_video_leaves_no_files(store: ResultStore, payload: dict[str, str]) -> None:
    videos = VideoQueue(store, Limits(), device="cpu")

    async def scenario() -> None:
        reports = videos.repair(payload, SMALL, session="one")
        await anext(reports)
        assert videos.cancel("one")
        with pytest.raises(VideoCancelledError):
            await last_report(reports)
        assert not videos.cancel("one")
        waiting = videos.repair(payload, SMALL, session="two")
        await anext(waiting)
        await waiting.aclose()
        videos.cancel_all()

    asyncio.run(scenario())
    assert result_names(store) == []


def test_damaged_video_is_refused_and_the_next_one_is_repaired(store: ResultStore, payload: dict[str, str]) -> None:
    videos = VideoQueue(store, Limits(), device="cpu")
    broken = store.folder / "broken.mp4"
    content = Path(payload["path"]).read_bytes()
    broken.write_bytes(content[:64] + bytes(len(content) - 64))

    async def scenario() -> VideoProgress:
        with pytest.raises(RefusedError, match="cannot be read"):
            await last_report(videos.repair({"path": str(broken)}, SMALL, session="one"))
        return await last_report(videos.repair(payload, SMALL, session="one"))

    assert asyncio.run(scenario()).result is not None


def test_frame_limit_applies_when_the_header_has_no_frame_count(store: ResultStore, payload: dict[str, str]) -> None:
    import av

    raw = store.folder / "raw.ts"
    with av.open(payload["path"]) as read, av.open(str(raw), "w") as write:
        copy = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                write.mux(packet)
    videos = VideoQueue(store, Limits(video_frames=50), device="cpu")
    with pytest.raises(RefusedError, match="too many frames"):
        asyncio.run(last_report(videos.repair({"path": str(raw)}, SMALL, session="one")))
    assert result_names(store) == []


@pytest.mark.parametrize(
    "options",
    [("nonsense", False, True, "mp4"), (None, False, True, "mp4"), ("turbo", False, True, "exe"), ([], 1, 1, {})],
)
def test_invalid_options_are_refused(options: tuple[Any, ...]) -> None:
    with pytest.raises(RefusedError, match="There is no such"):
        VideoOptions.parse(*options)


def test_error_messages_contain_no_paths(tmp_path: Path) -> None:
    from deepclarity.errors import DeviceError, OutputError, SourceError

    for error in (
        SourceError(f"{tmp_path}: odd"), OutputError(f"{tmp_path}: full"), DeviceError(f"{tmp_path}"), MemoryError(),
        RuntimeError(f"{tmp_path} burst"), OSError(5, "odd", str(tmp_path)), KeyError(str(tmp_path)),
    ):  # fmt: skip
        text = error_message(error)
        assert "/" not in text
        assert text.endswith(".")
