"""Runs commands of the program in this process, one JSON line each, and decodes what they wrote.

In: `{"arguments": ["upscale", …], "output": "out.mkv"}`, or `{"read": "preset", "path": "preset.toml"}`.
Out: `{"code": 0, "stderr": "…", "decoded": 24, "error": null, "memory_mb": 180.5}`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path

import av

from deepclarity.cli.app import run
from deepclarity.errors import DeepClarityError
from tests.fuzz.readers import READERS


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # encoders print there
    os.dup2(1, 2)
    for line in sys.stdin:
        job = json.loads(line)
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = _read(job["read"], Path(job["path"])) if "read" in job else run(job["arguments"])
        answer = {"code": code, "stderr": said.getvalue()[-2000:], "decoded": None, "error": None}
        if job.get("output") is not None and code in (0, 3):
            answer |= _decoded(Path(job["output"]))
        answer["memory_mb"] = _memory_mb()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read(kind: str, path: Path) -> int:
    """Read a file that is no video; exit code as of a command."""
    read = READERS[kind].read
    assert read is not None
    try:
        read(path)
    except DeepClarityError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code if "\n" not in str(error) else 1
    except Exception as error:  # what a command would report as an internal error
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def _memory_mb() -> float | None:
    """Resident memory of this process; None where the system does not say."""
    status = Path("/proc/self/status")
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.is_file() else None
    return int(found[1]) / 1024 if found else None


def _decoded(path: Path) -> dict[str, object]:
    try:
        with av.open(str(path)) as container:
            count = sum(1 for _ in container.decode(video=0))
    except (OSError, av.error.FFmpegError) as error:
        return {"decoded": 0, "error": f"{type(error).__name__}: {error}"}
    return {"decoded": count, "error": None if count else "no frame"}


if __name__ == "__main__":
    main()
