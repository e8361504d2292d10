"""Invalid arguments of `live` and `relay`: one line of error and exit code 2."""

from __future__ import annotations

import pytest

from deepclarity.cli.app import run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relay",), "give IN and OUT"),
        (("relay", "rtsp://u:secret@cam/x", "film.mp4"), "cannot publish there"),
        (("relay", "gopher://u:secret@cam/x", "rtsp://h/x"), "cannot read 'gopher'"),
        (("relay", "missing.mp4", "rtsp://127.0.0.1:1/x"), "no such file"),
        (("relay", "--file", "missing.toml"), "cannot be read"),
        (("live", "--no-view"), "no output: no display"),
        (("live", "--no-view", "-o", "a.mp4", "--camera", "rtsp://u:secret@cam/x"), "an address, not a camera"),
        (("live", "--no-view", "-o", "a.mp4", "--camera", ""), "not a camera"),
        (("live", "--no-view", "-o", "a.mp4", "--seconds", "nan"), "not 'nan'"),
        (("relay", "rtsp://u:secret@h/x", "rtsp://h:554/x"), "the target is the source"),
        (("relay", "rtsp://h/x", "rtsp://h/y", "--name", "a b"), "letters, digits"),
        (("relay", "rtsp://h/x", "rtsp://h/y", "--latency", "rtsp://u:secret@h"), "not a valid integer"),
        (("rtsp://u:my secret@h/x",), "No such command"),
        (("live", "--no-view", "-o", "film.xyz"), "cannot write '.xyz'"),
        (("relay", "rtsp://h/y", "rtsp://h/x", "--codec", "av1"), "not available for live output"),
        (("relay", "rtsp://h/y", "rtsp://h/x", "--speed", "banana"), "unknown encoder speed"),
        (("relay", "rtsp://h/y", "rtsp://h/x", "--crf", "99"), "must be from 0 (best) to 51"),
        (("relay", "a.mp4", "rtsp://h/x", "--latency", "1"), "not in the range"),
        (("relay", "--file", "relays.toml", "--model", "srgan"), "--model belongs in the relay file"),
    ],
)
def test_invalid_live_options_are_refused_with_one_line(
    arguments: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(list(arguments)) == 2
    stderr = capfd.readouterr().err
    assert message in stderr
    assert stderr.count("\n") == 1
    assert "secret" not in stderr
