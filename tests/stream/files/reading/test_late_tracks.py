"""Tracks that begin in the middle of a file are known from its beginning."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from deepclarity.stream.files.demux import open_input
from deepclarity.stream.files.reading.late_tracks import probe_size
from tests.clips import ClipSpec, add_audio, add_video, encode_audio, encode_video
from tests.commands import QUICK, run_upscale
from tests.decoding import audio_hashes, decode_frames


def late_sound(path: Path, *, start_s: float) -> Path:
    """A small video of 40 s, with sound from `start_s` on."""
    spec = ClipSpec(count=40, size=(64, 48), rate=1)
    with av.open(str(path), "w") as container:
        video, audio = add_video(container, spec), add_audio(container, codec="mp2")
        encode_video(container, video, spec)
        encode_audio(container, audio, seconds=0.4, start_s=start_s)
    return path


def first_sound_s(path: Path) -> float:
    with open_input(path) as container:
        return min(float(packet.pts * packet.time_base) for packet in container.demux(audio=0) if packet.size)


@pytest.mark.parametrize("ending", ["mpg", "ts"])
def test_sound_that_begins_late_is_copied_in_step(tmp_path: Path, ending: str) -> None:
    path, target = late_sound(tmp_path / f"a.{ending}", start_s=35), tmp_path / "o.mkv"
    assert run_upscale(path, target, *QUICK) == 0
    with open_input(path) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        sounds = sum(packet.size > 0 for packet in container.demux(audio=0))
    assert len(audio_hashes(target)) == sounds > 10
    assert len(decode_frames(target)) == len(decode_frames(path)) == 40
    assert first_sound_s(target) == pytest.approx(first_sound_s(path), abs=0.002)


def test_file_is_searched_once(tmp_path: Path) -> None:
    path, key = late_sound(tmp_path / "a.mpg", start_s=0), ("a", 1, 2)
    opened = []

    def opener(options: object) -> av.container.InputContainer:
        opened.append(options)
        return av.open(str(path))

    assert [probe_size(opener, key), probe_size(opener, key)] == [0, 0]
    assert opened == [{}]
