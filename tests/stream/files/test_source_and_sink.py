"""A file through source and sink: every frame, every timestamp, every sound packet."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deepclarity.errors import OutputError, SourceError, UsageError
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.output_path import check_writable, container_of, partial_path
from deepclarity.stream.files.passthrough import Passthrough
from deepclarity.stream.files.sink import FileSink
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.info import Colour
from tests.conftest import MakeClip


def copy(source: Path, target: Path, **settings: object) -> list[str]:
    """Pass every frame of `source` to a sink unchanged; returns the sink's warnings."""
    chosen = EncodeSettings(**{"speed": "ultrafast", **settings})  # type: ignore[arg-type]
    with FileSource(source) as frames, Passthrough(source, exclude=frames.stream_index) as others:
        frames.choose_pixel_format(chosen.encoder)
        info = frames.info
        size = info.width_px // 2 * 2, info.height_px // 2 * 2
        with FileSink(
            target, info=info, size=size, pixel_format=frames.pixel_format, settings=chosen, passthrough=others
        ) as sink:
            for frame in frames:
                sink.write(frame)
        return sink.warnings


def times(path: Path) -> list[Fraction]:
    with FileSource(path) as source:
        return [frame.pts * frame.time_base for frame in source]


def sound(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio)
        return [hashlib.md5(bytes(packet)).hexdigest() for packet in packets if packet.size]


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("speed", ["ultrafast", "veryfast"])
def test_frames_timestamps_and_audio_are_kept(make_clip: MakeClip, tmp_path: Path, ending: str, speed: str) -> None:
    clip = make_clip(count=30, size=(160, 90), tone_hz=330)
    target = tmp_path / f"out{ending}"
    copy(clip, target, speed=speed, restart_every=7)
    tolerance = Fraction(1, 1000) if ending == ".mkv" else 0
    assert all(abs(a - b) <= tolerance for a, b in zip(times(clip), times(target), strict=True))
    assert sound(target) == sound(clip) != []
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_variable_frame_rate_is_kept_across_encoder_restarts(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, uneven = make_clip(count=24, size=(160, 90)), tmp_path / "uneven.mkv"
    moments = np.cumsum(np.random.default_rng(3).choice([1, 17, 33, 400], 24)).tolist()
    with FileSource(clip) as source, av.open(str(uneven), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.time_base = 160, 90, Fraction(1, 1000)  # type: ignore[union-attr]
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, moment in zip(source, moments, strict=True):
            frame.picture.pts, frame.picture.time_base = moment, Fraction(1, 1000)  # type: ignore[union-attr]
            frame.picture.pict_type = 0  # type: ignore[union-attr]
            container.mux(stream.encode(frame.picture))  # type: ignore[union-attr,arg-type]
        container.mux(stream.encode(None))  # type: ignore[union-attr]
    target = tmp_path / "out.mp4"
    copy(uneven, target, speed="veryfast", restart_every=5)
    assert times(target) == times(uneven) == [Fraction(moment, 1000) for moment in moments]


def test_faststart_places_the_index_first(make_clip: MakeClip, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    copy(make_clip(size=(160, 90)), target)
    data = target.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_error_leaves_a_playable_partial_file(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, target = make_clip(count=20, size=(160, 90)), tmp_path / "out.mp4"
    with FileSource(clip) as source, pytest.raises(ValueError, match="model failed"):
        settings = EncodeSettings(speed="ultrafast")
        with FileSink(
            target, info=source.info, size=(160, 90), pixel_format=source.pixel_format, settings=settings
        ) as sink:
            for frame in source:
                sink.write(frame)
                if frame.index == 9:
                    raise ValueError("model failed")
    assert not target.exists()
    assert times(partial_path(target)) == times(clip)[:10]


def test_passed_frame_keeps_the_decoder_picture(make_clip: MakeClip) -> None:
    with FileSource(make_clip(size=(160, 90))) as source, av.open(str(source.path)) as container:
        for frame, picture in zip(source, container.decode(video=0), strict=True):
            for plane, reference in zip(frame.planes, picture.planes, strict=True):
                rows = np.frombuffer(memoryview(reference), np.uint8).reshape(reference.height, -1)
                assert np.array_equal(plane, rows[:, : reference.width])
            assert frame.picture is not None


def test_damaged_packets_lose_only_their_own_frames(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(count=40, size=(160, 90))
    data = bytearray(clip.read_bytes())
    start = data.find(b"mdat") + 4
    middle = start + (len(data) - start) // 2
    data[middle : middle + 400] = bytes(400)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    with FileSource(broken) as source:
        frames = [frame.index for frame in source]
        assert source.damaged > 0
    assert frames == list(range(len(frames)))
    assert len(frames) >= 40 - 2 * source.damaged > 20


def test_unreadable_file_raises_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 100)
    for name, words in (
        ("none.mp4", "no such file"),
        ("empty.mp4", "empty"),
        ("text.mp4", "not a video"),
        (".", "dir"),
    ):
        with pytest.raises(SourceError, match=words):
            FileSource(tmp_path / name)


def test_forbidden_output_is_refused_before_any_work(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip(count=3, size=(64, 36))
    with pytest.raises(UsageError, match="the output is the input"):
        check_writable(clip, source=clip, overwrite=True)
    with pytest.raises(UsageError, match="already exists"):
        check_writable(clip, source=None, overwrite=False)
    with pytest.raises(UsageError, match="no such folder"):
        check_writable(tmp_path / "none" / "out.mp4", source=clip, overwrite=False)
    with pytest.raises(UsageError, match="webm does not support h264"):
        container_of(Path("out.webm"), "h264")
    with pytest.raises(UsageError, match=r"cannot write '\.gif'"):
        container_of(Path("out.gif"), "h264")


def test_full_disk_error_names_the_cause(tmp_path: Path) -> None:
    from deepclarity.stream.errors import write_failed

    error = write_failed(OSError(28, "No space left on device"), tmp_path / "out.mp4")
    assert isinstance(error, OutputError)
    assert error.exit_code == 4
    assert "no space" in str(error)


@pytest.mark.parametrize(("codec", "name"), [("h264", "h264"), ("hevc", "hevc"), ("av1", "av1")])
def test_each_codec_name_selects_its_encoder(make_clip: MakeClip, tmp_path: Path, codec: str, name: str) -> None:
    target = tmp_path / "out.mp4"
    copy(make_clip(count=8, size=(160, 96)), target, codec=codec, restart_every=4)
    with av.open(str(target)) as container:
        found = container.streams.video[0].codec_context.name
        assert name in found or (name == "av1" and "dav1d" in found)
    assert len(times(target)) == 8


def test_unknown_codec_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'hevc'"):
        EncodeSettings(codec="hevv")


def test_hdr10_metadata_reaches_the_stream(make_clip: MakeClip, tmp_path: Path) -> None:
    # BT.2020 primaries in a 1000-nit master: AVMasteringDisplayMetadata and AVContentLightMetadata
    points = [(35_400, 50_000), (14_600, 50_000), (8_500, 50_000), (39_850, 50_000), (6_550, 50_000), (2_300, 50_000)]
    rest = [(15_635, 50_000), (16_450, 50_000), (50, 10_000), (1_000, 1)]
    mastering = struct.pack("20i2i", *(n for pair in points + rest for n in pair), 1, 1)
    target = tmp_path / "hdr.mp4"
    colour = Colour(primaries=9, transfer=16, matrix=9, range=1)
    with FileSource(make_clip(count=3, size=(160, 96))) as source:
        info = replace(source.info, colour=colour, mastering=mastering, light_level=struct.pack("2I", 1000, 400))
        settings = EncodeSettings(codec="hevc", speed="ultrafast")
        with FileSink(target, info=info, size=(160, 96), pixel_format="yuv420p", settings=settings) as sink:
            for frame in source:
                sink.write(frame)
    with FileSource(target) as again:
        assert again.info.colour == colour
        assert again.info.light_level is not None
        assert struct.unpack("2I", again.info.light_level[:8]) == (1000, 400)
        assert again.info.mastering is not None
        found = struct.unpack("20i2i", again.info.mastering[:88])
    values = [Fraction(n, d) for n, d in zip(found[:20:2], found[1:20:2], strict=True)]
    assert values == [Fraction(n, d) for n, d in points + rest]
