"""Videos stand in line, one at a time; they can be stopped, and nothing of a stopped one is left."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from deepclarity.web.jobs import Step, StoppedError, Videos, Wish
from deepclarity.web.messages import RefusedError, plain
from deepclarity.web.security.limits import Limits
from deepclarity.web.storage.results import ResultStore
from tests.conftest import MakeClip

SMALL = Wish("lanczos", full_hd=False)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "shelf", keep_s=60)


@pytest.fixture
def asked(make_clip: MakeClip, store: ResultStore) -> dict[str, str]:
    """What a client sends after it has uploaded a clip of 100 frames."""
    clip = store.folder / "clip.mp4"
    shutil.move(make_clip(count=100, size=(160, 90), pixelated=range(100)), clip)
    return {"path": str(clip), "orig_name": "my film.mp4"}


def results(store: ResultStore) -> list[str]:
    return [path.name for path in (store.folder / "results").rglob("*")]


async def last_of(steps: AsyncGenerator[Step, None]) -> Step:
    step = Step()
    async for step in steps:  # noqa: B007
        pass
    return step


def test_a_video_ends_with_its_result(store: ResultStore, asked: dict[str, str]) -> None:
    step = asyncio.run(last_of(Videos(store, Limits(), device="cpu").repair(asked, SMALL, session="one")))
    assert step.result is not None
    assert (step.done, step.repaired, step.result.summary.frames_out) == (100, 100, 100)
    assert step.result.video.name == "my_film.clear.mp4"
    assert store.find(step.result.video.parent.name, "report.html") == step.result.report


def test_one_at_a_time_and_only_so_many_wait(store: ResultStore, asked: dict[str, str]) -> None:
    videos = Videos(store, Limits(videos_waiting=1), device="cpu")

    async def story() -> None:
        first, second = (videos.repair(asked, SMALL, session=name) for name in ("one", "two"))
        assert (await anext(first)).ahead == 0
        assert (await anext(second)).ahead == 1
        with pytest.raises(RefusedError, match="One of your videos"):
            await anext(videos.repair(asked, SMALL, session="one"))
        with pytest.raises(RefusedError, match="Too many videos are waiting"):
            await anext(videos.repair(asked, SMALL, session="three"))
        assert (await last_of(first)).result is not None
        assert (await last_of(second)).result is not None

    asyncio.run(story())


def test_stopping_leaves_nothing(store: ResultStore, asked: dict[str, str]) -> None:
    videos = Videos(store, Limits(), device="cpu")

    async def story() -> None:
        steps = videos.repair(asked, SMALL, session="one")
        await anext(steps)
        assert videos.stop("one")
        with pytest.raises(StoppedError):
            await last_of(steps)
        assert not videos.stop("one")
        waiting = videos.repair(asked, SMALL, session="two")
        await anext(waiting)
        await waiting.aclose()
        videos.stop_all()

    asyncio.run(story())
    assert results(store) == []


def test_a_damaged_video_is_told_and_the_next_one_is_served(store: ResultStore, asked: dict[str, str]) -> None:
    videos = Videos(store, Limits(), device="cpu")
    broken = store.folder / "broken.mp4"
    content = Path(asked["path"]).read_bytes()
    broken.write_bytes(content[:64] + bytes(len(content) - 64))

    async def story() -> Step:
        with pytest.raises(RefusedError, match="cannot be read"):
            await last_of(videos.repair({"path": str(broken)}, SMALL, session="one"))
        return await last_of(videos.repair(asked, SMALL, session="one"))

    assert asyncio.run(story()).result is not None


def test_frames_that_the_head_does_not_tell_of_are_counted(store: ResultStore, asked: dict[str, str]) -> None:
    import av

    raw = store.folder / "raw.ts"
    with av.open(asked["path"]) as read, av.open(str(raw), "w") as write:
        copy = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                write.mux(packet)
    videos = Videos(store, Limits(video_frames=50), device="cpu")
    with pytest.raises(RefusedError, match="too many frames"):
        asyncio.run(last_of(videos.repair({"path": str(raw)}, SMALL, session="one")))
    assert results(store) == []


@pytest.mark.parametrize(
    "wish",
    [("nonsense", False, True, "mp4"), (None, False, True, "mp4"), ("turbo", False, True, "exe"), ([], 1, 1, {})],
)
def test_wishes_from_strangers_are_checked(wish: tuple[Any, ...]) -> None:
    with pytest.raises(RefusedError, match="There is no such"):
        Wish.of(*wish)


def test_failures_are_told_without_paths(tmp_path: Path) -> None:
    from deepclarity.errors import DeviceError, OutputError, SourceError

    for error in (
        SourceError(f"{tmp_path}: odd"), OutputError(f"{tmp_path}: full"), DeviceError(f"{tmp_path}"), MemoryError(),
        RuntimeError(f"{tmp_path} burst"), OSError(5, "odd", str(tmp_path)), KeyError(str(tmp_path)),
    ):  # fmt: skip
        said = plain(error)
        assert "/" not in said
        assert said.endswith(".")
