"""Transport streams in which the tracks go on under other numbers."""

from __future__ import annotations

from pathlib import Path

import av

from deepclarity.stream.files.demux import open_input
from tests.clips import ClipSpec, add_audio, add_video, encode_audio, encode_video
from tests.commands import QUICK, run_upscale
from tests.decoding import audio_hashes, decode_frames


def recording(path: Path, *, first_pid: int, codec: str = "libx264") -> bytes:
    """A transport stream of 25 frames and a second of sound, whose tracks have numbers from `first_pid` on."""
    options = {"mpegts_start_pid": str(first_pid)}
    spec = ClipSpec(count=25, codec=codec)
    with av.open(str(path), "w", options=options) as container:
        video, audio = add_video(container, spec), add_audio(container)
        encode_video(container, video, spec)
        encode_audio(container, audio, seconds=1.0)
    return path.read_bytes()


def test_renumbered_tracks_go_on(tmp_path: Path) -> None:
    path, target = tmp_path / "a.ts", tmp_path / "o.mkv"
    parts = [recording(tmp_path / f"{pid}.ts", first_pid=pid) for pid in (256, 512)]
    path.write_bytes(b"".join(parts))
    assert run_upscale(path, target, *QUICK) == 0
    assert len(decode_frames(target)) == 50
    assert len(audio_hashes(target)) == 2 * len(audio_hashes(tmp_path / "256.ts"))


def test_other_codec_under_another_number_is_another_track(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    first = recording(tmp_path / "1.ts", first_pid=256)
    path.write_bytes(first + recording(tmp_path / "2.ts", first_pid=512, codec="mpeg2video"))
    with open_input(path) as container:
        assert len(container.streams.video) == 2
