"""Which video track is read, every picture of it, and when each is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import pytest
from av.container import InputContainer
from av.stream import Disposition, Stream

import deepclarity as dc
from deepclarity.errors import SourceError, UsageError
from deepclarity.stream.files.demux import demux_packets
from deepclarity.stream.files.source import FileSource
from tests.clips import ClipSpec, add_audio, add_video, encode_audio, encode_clip, encode_video
from tests.commands import QUICK, run_upscale
from tests.decoding import assert_same_frames, decode_frames

Capture = pytest.CaptureFixture[str]


def two_videos(path: Path, first: ClipSpec, second: ClipSpec, *, dispositions: tuple[int, int] = (1, 1)) -> Path:
    with av.open(str(path), "w") as container:
        streams = [add_video(container, spec) for spec in (first, second)]
        for stream, disposition in zip(streams, dispositions, strict=True):
            stream.disposition = Disposition(disposition)
        for stream, spec in zip(streams, (first, second), strict=True):
            encode_video(container, stream, spec)
    return path


def track_of(path: Path, track: int | None = None) -> tuple[int, int]:
    """Index and number of frames of the track that is read."""
    with FileSource(path, track=track) as source:
        return source.stream_index, sum(1 for _ in source)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_still_beside_a_video_is_not_taken_for_it(tmp_path: Path, ending: str) -> None:
    """As in a phone's motion photo: the still is larger, and both tracks are default."""
    path = two_videos(tmp_path / f"a.{ending}", ClipSpec(count=12), ClipSpec(count=1, size=(320, 180)))
    assert track_of(path) == (0, 12)
    assert track_of(path, track=1) == (1, 1)


def test_still_does_not_win_by_being_first_or_default(tmp_path: Path) -> None:
    path = two_videos(tmp_path / "a.mp4", ClipSpec(count=1, size=(320, 180)), ClipSpec(count=12), dispositions=(1, 0))
    assert track_of(path) == (1, 12)


def test_longest_of_several_default_tracks_is_taken_and_of_equals_the_largest(tmp_path: Path) -> None:
    longer = two_videos(tmp_path / "a.mkv", ClipSpec(count=5, size=(320, 180)), ClipSpec(count=15))
    assert track_of(longer)[0] == 1
    equal = two_videos(tmp_path / "b.mkv", ClipSpec(count=10), ClipSpec(count=10, size=(320, 180)))
    assert track_of(equal)[0] == 1


def test_default_track_is_taken_before_a_larger_one(tmp_path: Path) -> None:
    path = two_videos(tmp_path / "a.mkv", ClipSpec(), ClipSpec(size=(320, 180)), dispositions=(1, 0))
    assert track_of(path)[0] == 0


def test_other_video_track_is_copied(tmp_path: Path) -> None:
    path, target = (
        two_videos(tmp_path / "a.mp4", ClipSpec(count=12), ClipSpec(count=1, size=(320, 180))),
        tmp_path / "o.mp4",
    )
    assert run_upscale(path, target, *QUICK) == 0
    with av.open(str(target)) as container:
        assert [(stream.width, stream.frames) for stream in container.streams.video] == [(160, 12), (320, 1)]


def test_track_that_is_no_video_is_a_usage_error(tmp_path: Path, capfd: Capture) -> None:
    path = encode_clip(tmp_path / "a.mp4", ClipSpec())
    with pytest.raises(UsageError, match=r"track 3 is no video track. Video tracks: 0"):
        FileSource(path, track=3)
    assert run_upscale(path, tmp_path / "o.mp4", *QUICK, "--track", "3") == 2
    assert "track 3" in capfd.readouterr().err


def test_file_with_a_cover_picture_alone_has_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        cover = add_video(container, ClipSpec(codec="mjpeg", pixel_format="yuvj420p"))
        cover.disposition = Disposition.attached_pic
        audio = add_audio(container)
        encode_video(container, cover, ClipSpec(count=1, pixel_format="yuvj420p"))
        encode_audio(container, audio, seconds=0.2)
    with pytest.raises(SourceError, match="no video"):
        FileSource(path)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_every_picture_of_a_truncated_file_is_read(tmp_path: Path, codec: str) -> None:
    """As many as slice threads give: frame threads drop those in flight."""
    spec = ClipSpec(count=40, codec=codec, size=(320, 180), options={"g": "12"})
    path = encode_clip(tmp_path / "a.mkv", spec)
    content = path.read_bytes()
    for share in (0.5, 0.6, 0.7, 0.8, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        assert track_of(path)[1] == _pictures_by_slice_threads(path), share


@pytest.mark.parametrize(("codec", "ending"), [("libx264", "mp4"), ("libx264", "ts"), ("mpeg4", "avi")])
def test_no_picture_is_lost_or_repeated_after_damage(tmp_path: Path, codec: str, ending: str) -> None:
    spec = ClipSpec(count=40, codec=codec, size=(320, 180), options={"g": "10", "bf": "0"})
    path = encode_clip(tmp_path / f"a.{ending}", spec)
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 3, len(content) // 3 + 1500):
        content[at] ^= 0x5A
    path.write_bytes(content)
    with FileSource(path) as source:
        pictures = [(frame.pts, float(frame.luma.mean())) for frame in source]
    assert len(pictures) >= _pictures_by_slice_threads(path)
    times = [pts for pts, _ in pictures]
    assert times == sorted(set(times))


def _pictures_by_slice_threads(path: Path) -> int:
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        for packet in container.demux(stream):
            try:
                count += len(packet.decode())
            except av.error.FFmpegError:
                continue
    return count


def late_audio(path: Path) -> Path:
    """A transport stream in which the audio begins after more than 5 MB, which is more than FFmpeg reads by itself."""
    early, late = path.with_suffix(".early.ts"), path.with_suffix(".late.ts")
    spec = ClipSpec(count=30, size=(640, 360), codec="mpeg2video", options={"qmin": "1", "qmax": "1"})
    encode_clip(early, spec)
    with av.open(str(late), "w") as container:
        video, audio = add_video(container, spec), add_audio(container)
        encode_video(container, video, ClipSpec(count=10, pts=range(1000, 1010), size=spec.size))
        encode_audio(container, audio, seconds=0.4, start_s=40)
    copies = 6_000_000 // early.stat().st_size + 1
    path.write_bytes(early.read_bytes() * copies + late.read_bytes())
    return path


def test_track_that_begins_late_in_a_transport_stream_is_named(tmp_path: Path) -> None:
    path, target, report = late_audio(tmp_path / "a.ts"), tmp_path / "o.mkv", tmp_path / "r.json"
    assert run_upscale(path, target, *QUICK, "--report", str(report)) == 0
    assert "begins too late" in json.loads(report.read_text())["summary"]["lost"][0]
    with FileSource(path) as source:
        assert sum(1 for _ in source) == len(decode_frames(target)) > 200


def test_packets_of_a_track_that_is_not_announced_are_counted(tmp_path: Path) -> None:
    """PyAV raises IndexError for them, in the middle of demuxing."""
    path = encode_clip(tmp_path / "a.ts", ClipSpec(count=20))
    packets: list[object] = []
    late: list[None] = []
    with av.open(str(path)) as container:
        half = iter([IndexError])

        class Broken:
            name, streams, format = container.name, container.streams, container.format

            def demux(self, streams: list[Stream]) -> Iterator[object]:
                for number, packet in enumerate(container.demux(streams)):
                    yield packet
                    if number == 9 and (error := next(half, None)) is not None:
                        raise error

        found = demux_packets(
            cast("InputContainer", Broken()),
            list(container.streams),
            on_damage=lambda: None,
            on_late_packet=lambda: late.append(None),
        )
        packets += found
    assert (len(packets), len(late)) == (20, 1)


def test_sound_file_is_decoded_once(tmp_path: Path) -> None:
    path = encode_clip(tmp_path / "a.mp4", ClipSpec(count=20, options={"bf": "2"}))
    with FileSource(path) as source:
        assert sum(1 for _ in source) == 20
        assert not source.restarted
    target = tmp_path / "o.mp4"
    assert run_upscale(path, target, *QUICK) == 0
    assert_same_frames(path, target)


def test_key_frames_in_an_index_do_not_decide(tmp_path: Path) -> None:
    """Matroska's index lists key frames only: few of them do not make a track short."""
    rare = ClipSpec(count=20, size=(320, 180), options={"g": "20"})
    path = two_videos(tmp_path / "a.mkv", ClipSpec(count=20, options={"g": "1"}), rare)
    assert track_of(path) == (1, 20)


def test_still_is_read_if_there_is_no_other_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = add_video(container, ClipSpec())
        stream.disposition = Disposition.still_image
        encode_video(container, stream, ClipSpec(count=1))
    assert track_of(path) == (0, 1)


def test_track_that_is_not_repaired_is_named(tmp_path: Path, capfd: Capture) -> None:
    path = two_videos(tmp_path / "a.mp4", ClipSpec(count=12), ClipSpec(count=1, size=(320, 180)))
    report = tmp_path / "r.json"
    assert run_upscale(path, tmp_path / "o.mp4", *QUICK, "--report", str(report)) == 0
    assert "not repaired: track 1, h264 320x180, 1 frame;" in capfd.readouterr().out
    assert json.loads(report.read_text())["summary"]["other_videos"] == ["track 1, h264 320x180, 1 frame"]


def test_track_is_chosen_by_option_preset_and_api(tmp_path: Path) -> None:
    path = two_videos(tmp_path / "a.mp4", ClipSpec(count=12), ClipSpec(count=3, size=(320, 180)))
    (tmp_path / "p.toml").write_text("track = 1\n")
    for number, chosen in enumerate((("--track", "1"), ("--preset", str(tmp_path / "p.toml")))):
        target = tmp_path / f"{number}.mkv"
        assert run_upscale(path, target, *QUICK, *chosen) == 0
        assert len(decode_frames(target)) == 3
    summary = dc.upscale(path, tmp_path / "api.mkv", which="none", size="160x90", track=1)
    assert summary.frames_out == 3


def test_detect_takes_the_track_that_upscale_takes(tmp_path: Path) -> None:
    path = two_videos(tmp_path / "a.mp4", ClipSpec(count=12), ClipSpec(count=1, size=(320, 180)))
    assert dc.detect_file(path).frames == 12
    assert dc.detect_file(path, track=1).frames == 1
