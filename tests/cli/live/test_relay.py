"""`deepclarity relay` as a process: viewers stay connected whatever happens to the source."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from tests.cli.live.relay import relay
from tests.rtsp.publisher import Publisher
from tests.rtsp.relay_command import QUICK, fetch
from tests.rtsp.server.server import RtspServer
from tests.rtsp.viewer import ViewedFrame, Viewer

_SLATE = 40
"""Mean luma below which a frame is a slate: the publisher's frames are brighter."""


def timestamps_increase(frames: list[ViewedFrame]) -> bool:
    return all(one.pts_s < other.pts_s for one, other in pairwise(frames))  # type: ignore[operator]


def test_relay_repairs_pixelated_frames_in_full_hd_and_in_order(server: RtspServer) -> None:
    with (
        Publisher(server.url("cam"), block_px=4, rate=30),
        relay(server, "--latency", "10000") as running,
        Viewer(server.url("out"), open_timeout_s=15) as viewer,
    ):
        frames = viewer.wait_for_frames(60, timeout_s=30)
        metrics = running.metrics()
        assert fetch(running.metrics_url("/healthz"))[0] == 200
    assert {(each.width, each.height) for each in frames} == {(1920, 1080)}
    numbers = [each.number for each in frames if each.number is not None]
    assert len(numbers) > 40
    assert numbers == sorted(numbers)
    assert metrics['deepclarity_frames_total{lane="enhance"}'] > 40
    assert metrics['deepclarity_tier{tier="turbo"}'] == 1
    assert metrics["deepclarity_frame_age_seconds_count"] > 40


def wait_until_shown_after(viewer: Viewer, number: int) -> None:
    """Wait until the viewer has received a frame that was sent after frame `number`."""
    viewer.wait_for(lambda frames: any(each.number is not None and each.number > number for each in frames[-60:]))


def test_lost_source_keeps_the_session_and_shows_a_slate(server: RtspServer) -> None:
    with Publisher(server.url("cam"), rate=30) as camera, relay(server, *QUICK) as running:
        with Viewer(server.url("out"), open_timeout_s=15) as viewer:
            viewer.wait_for_frames(20)
            camera.freeze()
            server.reset_readers("cam")
            server.not_found = True
            viewer.wait_for(lambda frames: frames[-1].brightness < _SLATE)
            assert fetch(running.metrics_url("/healthz"))[0] == 503
            slates_from = len(viewer.frames)
            server.not_found = False
            camera.unfreeze()
            restored_s = time.monotonic()
            frames = viewer.wait_for(lambda frames: len(frames) > slates_from and frames[-1].brightness > _SLATE)
            assert frames[-1].at - restored_s < 6
            assert not viewer.ended
        metrics = running.metrics()
    assert timestamps_increase(frames)
    assert server.sessions("out") == 1
    assert metrics["deepclarity_source_reconnects_total"] == 1
    assert metrics["deepclarity_slate_frames_total"] > 0


@pytest.mark.slow
def test_size_and_codec_changes_of_the_source_keep_the_session(server: RtspServer) -> None:
    with relay(server, "--none") as running, Viewer(server.url("out"), open_timeout_s=20) as viewer:
        with Publisher(server.url("cam"), size=(640, 360), rate=30) as camera:
            viewer.wait_for_frames(20, timeout_s=25)
            for size in ((1280, 720), (640, 480)):
                newest = max(camera.sent)
                camera.resize(size)
                wait_until_shown_after(viewer, newest)
                count = len(viewer.frames)
                viewer.wait_for_frames(count + 40)
        with Publisher(server.url("cam"), size=(640, 360), rate=30, codec="libx265"):
            viewer.wait_for(lambda frames: running.metrics()["deepclarity_source_changes_total"] >= 3)
            count = len(viewer.frames)
            frames = viewer.wait_for(lambda frames: sum(each.number is not None for each in frames[count:]) > 20)
        metrics = running.metrics()
    assert {(each.width, each.height) for each in frames} == {(1920, 1080)}
    assert timestamps_increase(frames)
    assert server.sessions("out") == 1
    assert metrics["deepclarity_source_changes_total"] >= 3


def test_audio_is_relayed(server: RtspServer) -> None:
    with (
        Publisher(server.url("cam"), rate=30, with_audio=True),
        relay(server, *QUICK),
        Viewer(server.url("out"), open_timeout_s=15) as viewer,
    ):
        viewer.wait_for_frames(20)
        assert viewer.audio_codec == "aac"
