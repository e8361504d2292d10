"""Runs commands of the program in this process, one JSON line each, and decodes what they wrote.

In: `{"arguments": ["upscale", …], "output": "out.mkv"}`.
Out: `{"code": 0, "stderr": "…", "decoded": 24, "error": null}`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import av

from deepclarity.cli.app import run


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # encoders print there
    os.dup2(1, 2)
    for line in sys.stdin:
        job = json.loads(line)
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = run(job["arguments"])
        answer = {"code": code, "stderr": said.getvalue()[-2000:], "decoded": None, "error": None}
        if job["output"] is not None and code in (0, 3):
            answer |= _decoded(Path(job["output"]))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _decoded(path: Path) -> dict[str, object]:
    try:
        with av.open(str(path)) as container:
            count = sum(1 for _ in container.decode(video=0))
    except (OSError, av.error.FFmpegError) as error:
        return {"decoded": 0, "error": f"{type(error).__name__}: {error}"}
    return {"decoded": count, "error": None if count else "no frame"}


if __name__ == "__main__":
    main()
