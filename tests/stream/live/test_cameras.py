"""Live source: RTSP as cameras speak it, each with its own idea of the standard."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deepclarity.stream.live.source import LiveSource
from deepclarity.stream.rtsp.address import source_address
from tests.rtsp.camera.behaviour import Behaviour
from tests.rtsp.camera.camera import Camera
from tests.rtsp.camera.clip import Track, g711, onvif_metadata, video
from tests.stream.live.frames import PATIENT, open_frames, read_until, real, real_frames, timestamps_increase

USER, PASSWORD = "ann", "p w@1"
TWO_SLICES = (("x264-params", "slices=2"),)
B_FRAMES = (("tune", "film"), ("preset", "veryfast"), ("bf", "2"))


def watch(
    camera: Camera, *, count: int = 20, user: str | None = None, transport: str = "tcp", insecure_tls: bool = False
) -> LiveSource:
    """Receive `count` intact pictures in order, or fail twice; returns the source."""
    address = source_address(camera.url(user=user), transport=transport, insecure_tls=insecure_tls)
    source = LiveSource(address, timeouts=PATIENT)
    enough = real_frames(count)
    with open_frames(source) as frames:
        received = read_until(frames, lambda frame: enough(frame) or source.counts.failures > 0)
    if not source.counts.failures:
        assert all(frame.intact for frame in real(received))
        assert timestamps_increase(received)
        assert source.counts.reconnects == source.counts.damaged_packets == 0
    return source


@pytest.mark.parametrize(
    "challenges",
    [
        ("SHA-256",),
        ("MD5", "SHA-256"),
        *[pytest.param(each, marks=pytest.mark.slow) for each in (("Basic", "SHA-256", "MD5"), ("MD5",), ("Basic",))],
    ],
    ids="+".join,
)
def test_every_kind_of_password_check_is_passed_with_the_best_one(challenges: tuple[str, ...]) -> None:
    with Camera(video(), behaviour=Behaviour(USER, PASSWORD, challenges)) as camera:
        assert watch(camera, count=1, user=f"{USER}:{PASSWORD}").reason == ""
    signed = [request.headers["authorization"] for request in camera.requests if "authorization" in request.headers]
    best = next(kind for kind in ("SHA-256", "MD5", "Basic") if kind in challenges)
    assert all(best in line for line in signed)
    assert len(signed) >= 3


@pytest.mark.parametrize("user", [None, f"{USER}:wrong", f"{USER}:"])
def test_wrong_password_is_one_clear_line(user: str | None) -> None:
    with Camera(video(), behaviour=Behaviour(USER, PASSWORD, ("SHA-256", "MD5"))) as camera:
        assert watch(camera, user=user).reason == "user or password refused"
    assert camera.methods().count("DESCRIBE") <= 4  # a camera locks out those who try too often


def test_unknown_password_check_is_named() -> None:
    with Camera(video(), behaviour=Behaviour(USER, PASSWORD, ("SHA-3",))) as camera:
        source = watch(camera, user=f"{USER}:{PASSWORD}")
    assert source.reason == "it asks for a kind of authentication that is not supported (Digest)"


@pytest.mark.slow
def test_401_before_every_method_is_answered() -> None:
    behaviour = Behaviour(USER, PASSWORD, nonce_per_request=True, session_timeout_s=1.5)
    with Camera(video(), behaviour=behaviour) as camera:
        assert watch(camera, count=70, user=f"{USER}:{PASSWORD}").reason == ""
    assert camera.expired == 0


@pytest.mark.parametrize(
    "base",
    [
        "rtsp://192.168.7.7/",
        *[pytest.param(each, marks=pytest.mark.slow) for each in ("rtsp://127.0.0.1/wrong/", "rtsp://", "/")],
    ],
)
def test_wrong_content_base_is_not_believed(base: str) -> None:
    with Camera(video(), g711(), behaviour=Behaviour(content_base=base)) as camera:
        assert watch(camera, count=5).reason == ""


@pytest.mark.slow
def test_redirect_is_followed_and_the_password_stays_with_its_host() -> None:
    behaviour = Behaviour(USER, PASSWORD)
    with Camera(video(), behaviour=behaviour) as target, Camera(video()) as first:
        first.behaviour.redirects_to = target.url()
        assert watch(first, count=5, user=f"{USER}:{PASSWORD}").reason == ""
        first.behaviour.redirects_to = target.url().replace("127.0.0.1", "localhost")
        assert watch(first, user=f"{USER}:{PASSWORD}").reason == "user or password refused"
        first.behaviour.redirects_to = first.url()
        assert watch(first).reason == "it redirects more than 5 times"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: video("libx265"), id="H.265", marks=pytest.mark.slow),
        pytest.param(lambda: video("libx265", parameter_sets=False), id="H.265 without sets"),
        pytest.param(lambda: video(parameter_sets=False), id="H.264 without sets", marks=pytest.mark.slow),
        pytest.param(lambda: video("mjpeg"), id="MJPEG", marks=pytest.mark.slow),
        pytest.param(lambda: video(options=TWO_SLICES), id="two slices", marks=pytest.mark.slow),
        pytest.param(lambda: video(options=B_FRAMES), id="B-frames"),
    ],
)
def test_every_kind_of_video_is_received(make: Callable[[], Track]) -> None:
    with Camera(make(), behaviour=Behaviour(reports=False)) as camera:
        assert watch(camera).reason == ""


def test_g711_is_received_and_onvif_metadata_is_left_alone() -> None:
    with Camera(onvif_metadata(), video(), g711()) as camera:
        source = watch(camera)
    assert source.audio_format is not None
    assert (source.audio_format.codec, source.audio_format.rate_hz) == ("pcm_mulaw", 8000)
    assert camera.methods().count("SETUP") == 2


@pytest.mark.slow
def test_90000_announced_as_frame_rate_is_not_believed() -> None:
    with Camera(video(framerate="90000")) as camera:
        source = watch(camera)
    assert source.rate == 30
    assert source.frame_interval_s == pytest.approx(1 / 30, abs=0.003)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "transport"), [("GET_PARAMETER", "udp"), ("OPTIONS", "tcp")])
def test_session_is_kept_alive_by_what_the_camera_understands(method: str, transport: str) -> None:
    with Camera(video(), behaviour=Behaviour(keep_alive=method, session_timeout_s=2.0)) as camera:
        watch(camera, count=150, transport=transport)
        assert camera.expired == 0
        assert camera.sessions == 1
    assert camera.methods().count(method) >= 4


def test_self_signed_certificate_is_refused_unless_accepted(tmp_path: Path) -> None:
    with Camera(video(), behaviour=Behaviour(USER, PASSWORD, tls=self_signed(tmp_path))) as camera:
        refused = watch(camera, user=f"{USER}:{PASSWORD}")
        assert (
            refused.reason
            == "its certificate is not trusted (self-signed certificate); add --insecure-tls to accept it"
        )
        assert camera.requests == []
        assert watch(camera, count=5, user=f"{USER}:{PASSWORD}", insecure_tls=True).reason == ""


def self_signed(folder: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
