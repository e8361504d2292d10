"""Every command and every Python snippet of the documentation is run.

A block above which `<!-- not run: reason -->` stands is left out. What serves until it is stopped gets
`<!-- stopped after 5 s -->`: it must still run then, and end by itself when Ctrl-C is pressed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.docs.blocks import ROOT, Block, blocks, pages
from tests.rtsp.publisher import Publisher
from tests.rtsp.server.server import RtspServer

SHELLS = ("sh", "bash")
ELSEWHERE = {"docs/python.md": "tests/api/test_public_names.py", "docs/web.md": "tests/web/test_api.py"}
"""Pages whose Python snippets another test runs."""
PAGES = [page for page in pages() if any(block.language in (*SHELLS, "python") for block in blocks(page))]
ADVICE = (
    "Correct the example, or add the file it names to tests/docs/conftest.py. If no test can run it, write "
    "<!-- not run: reason --> above its block."
)


FREE = {".venv/bin/": "", "deepclarity web": "deepclarity web --port 0", "--metrics 9187": "--metrics 0"}
"""What is replaced in every example: the environment's folder, and ports that may be in use."""


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    """What takes the place of the hosts in the examples: a server and a camera on the loopback interface."""
    with RtspServer() as server, Publisher(server.url("camera"), block_px=4, rate=10):
        yield {
            "rtsp://camera/main": server.url("camera"),
            "rtsp://localhost:8554/": server.url(""),
        }


@pytest.mark.docs
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")  # a user's warnings are not errors
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_example_runs(page: Path, place: Path, request: pytest.FixtureRequest) -> None:
    replaced = dict(FREE)
    if any("rtsp://" in block.text and not block.not_run for block in blocks(page)):
        replaced |= request.getfixturevalue("addresses")
        (place / "relays.toml").write_text(
            f'[relay.a]\nin = "{replaced["rtsp://camera/main"]}"\nout = "{replaced["rtsp://localhost:8554/"]}a"\n'
        )
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks(page):
        if block.not_run:
            continue
        if block.language in SHELLS:
            run_lines(block, place, replaced)
        elif block.language == "python" and block.page not in ELSEWHERE:
            run_python(block, names)


def run_lines(block: Block, place: Path, replaced: dict[str, str]) -> None:
    """Run each line by itself: the lines of a block are alternatives, which may write the same output."""
    for number, line in block.lines():
        if line.startswith("pip install"):  # tests/docs/test_pages.py checks that the extra exists
            continue
        command = line
        for old, new in replaced.items():
            command = command.replace(old, new)
        for output in place.glob("*.clear.*"):
            output.unlink()
        failure = _failure(command, place, block.stopped_after_s)
        assert not failure, f"{block.page}:{number}: `{line}` {failure}\n{ADVICE}"


def _failure(command: str, place: Path, stopped_after_s: float | None) -> str:
    """What is wrong with the end of a command; empty if nothing is."""
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            ["bash", "-c", f"set -euo pipefail; {command}"],
            cwd=place, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0,
        ) as process,
    ):  # fmt: skip
        served = stopped_after_s is None or _serves(process, output, stopped_after_s)
        if stopped_after_s is not None and served:
            os.killpg(process.pid, signal.SIGINT)
        try:
            code = process.wait(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")[-3000:]
    if not served:
        return f"ended by itself with {code}, and should have served until it is stopped:\n{text}"
    return "" if code == 0 or (stopped_after_s is not None and code == 130) else f"ended with {code}:\n{text}"


def _serves(process: subprocess.Popen[bytes], output: IO[bytes], seconds: float) -> bool:
    """Wait for `seconds`, and on a slow machine until it has printed something; whether it still runs then."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or (not os.fstat(output.fileno()).st_size and time.monotonic() < deadline + 100):
        if process.poll() is not None:
            return False
        time.sleep(0.1)
    return True


def run_python(block: Block, names: dict[str, object]) -> None:
    """Run a snippet with the names that the snippets before it on the page have defined."""
    try:
        exec(compile(block.text, block.place, "exec"), names)
    except Exception as error:
        pytest.fail(f"{block.place}: {type(error).__name__}: {error}\n{ADVICE}")
