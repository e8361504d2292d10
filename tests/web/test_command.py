"""`deepclarity web` as it is started, and what it refuses to start with."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepclarity.cli.app import run
from deepclarity.web.server import Settings, own_names
from tests.web.conftest import serving

Capture = pytest.CaptureFixture[str]


def test_a_password_without_a_user_is_refused_and_not_repeated(capsys: Capture) -> None:
    for given in ("s3cret", ":s3cret", "user:"):
        assert run(["web", "--auth", given]) == 2
    said = capsys.readouterr().err
    assert "USER:PASSWORD" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("given", [("--model", "turbos"), ("--model", "turbo-bicubic"), ("--device", "cpus")])
def test_what_there_is_not_is_refused_at_once(capsys: Capture, given: tuple[str, str]) -> None:
    assert run(["web", *given]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_more_pixels_than_can_be_read_are_not_promised(capsys: Capture) -> None:
    assert run(["web", "--max-pixels", "171"]) == 2
    assert "170" in capsys.readouterr().err


def test_without_gradio_the_extra_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "gradio" else found(name, *more)
    )
    assert run(["web"]) == 2
    assert "deepclarity[web]" in capsys.readouterr().err


def test_a_port_in_use_is_told(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["web", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"{port}: cannot listen there" in said
    assert "--port" in said


@pytest.mark.parametrize(
    ("settings", "name", "known"),
    [
        (Settings(), "localhost", True),
        (Settings(), "evil.example", False),
        (Settings(), "10.0.0.5", False),
        (Settings(host="0.0.0.0"), "10.0.0.5", True),
        (Settings(host="0.0.0.0"), "evil.example", False),
        (Settings(host="0.0.0.0", auth=("a", "b")), "clarity.example", True),
        (Settings(auth=("a", "b")), "clarity.example", True),
        (Settings(host="192.168.0.7"), "192.168.0.7", True),
        (Settings(host="Box.Example"), "box.example", True),
        (Settings(host="::1"), "::1", True),
    ],
)
def test_the_server_answers_to_its_own_names(settings: Settings, name: str, known: bool) -> None:
    assert settings.knows(name) is known


def test_names_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(socket, "getfqdn", lambda: asked.append("") or "box.example")
    own_names.cache_clear()
    assert Settings(host="0.0.0.0").knows("box.example")
    assert not any(Settings(host="0.0.0.0").knows(f"{number}.example") for number in range(9))
    assert len(asked) == 1
    own_names.cache_clear()


def test_whoever_opens_it_to_others_is_warned(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0"):
        assert "everybody who can reach 0.0.0.0" in (tmp_path / "stderr.txt").read_text()
