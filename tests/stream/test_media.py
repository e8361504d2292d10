"""What paths name as sources and outputs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from deepclarity.errors import UsageError
from deepclarity.stream.files.still import Picture, write_picture
from deepclarity.stream.media import Medium, check_source, output_medium, sends_raw, source_medium
from deepclarity.stream.pictures.gif import GifEncoder


@pytest.mark.parametrize(
    ("name", "medium"),
    [
        ("-", Medium.PIPE),
        ("film.mp4", Medium.FILE),
        ("a/%05d.png", Medium.NUMBERED),
        ("cat.gif", Medium.ANIMATION),
        ("cat.WEBP", Medium.ANIMATION),
        ("100%.mkv", Medium.FILE),
    ],
)
def test_an_output_is_known_by_its_name(name: str, medium: Medium) -> None:
    assert output_medium(Path(name)) is medium


def test_a_source_is_known_by_its_content(tmp_path: Path) -> None:
    for name in ("still.webp", "still.png"):
        write_picture(tmp_path / name, Picture(np.zeros((4, 4, 3), np.uint8)))
        assert source_medium(tmp_path / name) is Medium.FILE
    with GifEncoder(tmp_path / "cat.gif", size=(4, 4), loops=0) as encoder:
        encoder.finish()
    assert source_medium(tmp_path / "cat.gif") is Medium.ANIMATION
    (tmp_path / "video.gif").write_bytes(b"not a gif")
    assert source_medium(tmp_path / "video.gif") is Medium.FILE


def test_a_file_named_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "take%02d.mp4").touch()
    assert source_medium(tmp_path / "take%02d.mp4") is Medium.FILE
    assert source_medium(tmp_path / "take%03d.png") is Medium.NUMBERED


def test_a_frame_rate_is_for_numbered_pictures_only(tmp_path: Path) -> None:
    check_source(tmp_path / "%d.png", rate=Fraction(24))
    (tmp_path / "film.mp4").write_bytes(b"x")
    with pytest.raises(UsageError, match="--fps is for numbered pictures"):
        check_source(tmp_path / "film.mp4", rate=Fraction(24))


def test_pictures_leave_raw_through_pipes_unless_a_codec_is_asked_for() -> None:
    pipe = Path("-")
    assert sends_raw(pipe, "auto", crf=None, pipe_format="nut")
    assert sends_raw(pipe, "auto", crf=None, pipe_format="y4m")
    assert not sends_raw(pipe, "h264", crf=None, pipe_format="nut")
    assert not sends_raw(pipe, "auto", crf=20, pipe_format="nut")
    assert not sends_raw(pipe, "auto", crf=None, pipe_format="mkv")
    assert not sends_raw(Path("film.mp4"), "auto", crf=None, pipe_format="nut")
    assert sends_raw(Path("cat.gif"), "h264", crf=20, pipe_format="nut")
