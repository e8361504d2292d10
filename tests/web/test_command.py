"""The command `deepclarity web`: option validation, host names and warnings."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepclarity.cli.app import run
from deepclarity.web.server import Settings, own_host_names
from tests.web.conftest import serving

Capture = pytest.CaptureFixture[str]


def test_invalid_auth_is_refused_without_printing_the_password(capsys: Capture) -> None:
    for given in ("s3cret", ":s3cret", "user:"):
        assert run(["web", "--auth", given]) == 2
    error = capsys.readouterr().err
    assert "USER:PASSWORD" in error
    assert "s3cret" not in error


@pytest.mark.parametrize("given", [("--model", "turbos"), ("--model", "turbo-bicubic"), ("--device", "cpus")])
def test_unknown_model_or_device_is_refused_with_a_suggestion(capsys: Capture, given: tuple[str, str]) -> None:
    assert run(["web", *given]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_max_pixels_above_the_decoder_limit_is_refused(capsys: Capture) -> None:
    assert run(["web", "--max-pixels", "171"]) == 2
    assert "170" in capsys.readouterr().err


def test_missing_gradio_is_reported_with_the_extra_to_install(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "gradio" else found(name, *more)
    )
    assert run(["web"]) == 2
    assert "deepclarity[web]" in capsys.readouterr().err


def test_port_in_use_is_reported(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["web", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"{port}: cannot listen there" in error
    assert "--port" in error


@pytest.mark.parametrize(
    ("settings", "name", "accepted"),
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
def test_server_accepts_only_its_own_host_names(settings: Settings, name: str, accepted: bool) -> None:
    assert settings.accepts_host(name) is accepted


def test_host_names_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups: list[str] = []
    monkeypatch.setattr(socket, "getfqdn", lambda: lookups.append("") or "box.example")
    own_host_names.cache_clear()
    assert Settings(host="0.0.0.0").accepts_host("box.example")
    assert not any(Settings(host="0.0.0.0").accepts_host(f"{number}.example") for number in range(9))
    assert len(lookups) == 1
    own_host_names.cache_clear()


def test_public_host_without_password_prints_a_warning(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0"):
        assert "anyone who can reach 0.0.0.0" in (tmp_path / "stderr.txt").read_text()
