"""Runs the program on damaged files in a worker process with a time limit, and says what is wrong with the result."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from PIL import Image

from .damage import damage, damage_text
from .readers import READERS

_ROOT = Path(__file__).parents[2]
_ALLOWED = (0, 2, 3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one command on one damaged file."""

    container: str
    seed: int
    damages: list[str]
    command: str
    code: int | None
    """Exit code; None: the process ended by a signal or did not end in time."""
    failure: str | None
    """What is wrong; None: exit code 0, 2 or 3, and an output that decodes."""


class Worker:
    """A process that runs commands of the program; it is started anew after a crash or a hang."""

    def __init__(self, *, limit_s: float) -> None:
        """`limit_s`: seconds that a command may take."""
        self._limit_s = limit_s
        self.memory_mb: float | None = None
        """Resident memory of the process after its last job."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def run(self, arguments: list[str], output: Path | None) -> tuple[int | None, str | None]:
        """Run one command: (exit code, what is wrong or None)."""
        return self._do({"arguments": arguments, "output": None if output is None else str(output)})

    def read(self, kind: str, path: Path) -> tuple[int | None, str | None]:
        """Read a file of `READERS`: (exit code, what is wrong or None)."""
        return self._do({"read": kind, "path": str(path)})

    def _do(self, job: dict[str, object]) -> tuple[int | None, str | None]:
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        answer = self._answer(process)
        if answer is None:
            self._stop()
            return None, f"hang: no end within {self._limit_s:g} s"
        if not answer:
            code = process.wait()
            self._stop()
            return None, f"signal {signal.Signals(-code).name}" if code < 0 else f"the process ended with {code}"
        result = json.loads(answer)
        self.memory_mb = result["memory_mb"]
        return _verdict(result)

    def _answer(self, process: subprocess.Popen[bytes]) -> bytes | None:
        """The worker's next line, empty if it has ended; None if it takes too long."""
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(self._limit_s) else None

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join([str(_ROOT / "src"), str(_ROOT)])
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def _stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.communicate()


def fuzz_file(worker: Worker, source: Path, seed: int, folder: Path) -> Iterator[Outcome]:
    """Damage `source` by `seed`, and run `upscale` and `detect` on the result."""
    container = source.suffix[1:]
    data, damages = damage(source.read_bytes(), seed)
    path = folder / f"damaged.{container}"
    path.write_bytes(data)
    own = container in ("mp4", "mov", "mkv", "webm") and seed % 2 == 0
    output = folder / f"out.{container if own else 'mkv'}"
    quick = ["--method", "grid", "--model", "lanczos", "--size", "128x96", "--speed", "ultrafast", "--device", "cpu"]
    commands = {
        "upscale": ["upscale", str(path), "-o", str(output), "-y", "-q", *quick],
        "detect": ["detect", str(path), "--json", "--method", "grid"],
    }
    for name, arguments in commands.items():
        for stale in folder.glob("out.*"):
            stale.unlink()
        code, failure = worker.run(arguments, output if name == "upscale" else None)
        if failure is None and code == 2 and output.exists():
            failure = "an output after exit code 2"
        yield Outcome(container, seed, damages, name, code, failure)


def fuzz_reader(worker: Worker, kind: str, source: Path, seed: int, folder: Path) -> Iterator[Outcome]:
    """Damage a file of `READERS` by `seed`, and read it; pictures by `detect` and `correct`."""
    reader = READERS[kind]
    data, damages = (damage_text if reader.is_text else damage)(source.read_bytes(), seed)
    path = folder / source.name
    path.write_bytes(data)
    if reader.read is not None:
        code, failure = worker.read(kind, path)
        yield Outcome(kind, seed, damages, "read", code, failure)
        return
    output = folder / "out.png"
    output.unlink(missing_ok=True)
    code, failure = worker.run(["detect", str(path), "--json", "--method", "grid"], None)
    yield Outcome(kind, seed, damages, "detect", code, failure)
    commands = ["correct", str(path), "-o", str(output), "--model", "lanczos", "--method", "grid", "--device", "cpu"]
    code, failure = worker.run(commands, None)
    if failure is None and output.exists():
        if code != 0:
            failure = f"an output after exit code {code}"
        else:
            try:
                Image.open(output).load()
            except (OSError, ValueError) as error:
                failure = f"the output: {error}"
    yield Outcome(kind, seed, damages, "correct", code, failure)


def _verdict(answer: dict[str, object]) -> tuple[int, str | None]:
    code, said = int(str(answer["code"])), str(answer["stderr"]).strip()
    last = said.splitlines()[-1] if said else ""
    if code not in _ALLOWED:
        return code, f"exit code {code}: {last}"
    if code and not last:
        return code, f"exit code {code} without a word"
    return code, None if answer["error"] is None else f"exit code {code}, but the output: {answer['error']}"
