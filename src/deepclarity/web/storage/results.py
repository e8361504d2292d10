"""The folder that uploads and results lie in for a while: nothing is found there without its name."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from deepclarity.web.messages import RefusedError

_PARTIAL_S = 20.0
"""An upload that nothing was added to for this long has been given up, or cut off at the door."""


class ResultStore:
    """Files that are deleted after `keep_s`, and all of them in the end."""

    def __init__(self, folder: Path, *, keep_s: float) -> None:
        """`folder`: absolute, our own; uploads arrive in it, results get a folder each below `results/`."""
        self.folder = folder.resolve()
        self._keep_s = keep_s
        self._results = self.folder / "results"
        self._results.mkdir(parents=True, exist_ok=True)
        self._held = Counter[Path]()

    def place(self, name: str) -> Path:
        """Where a result called `name` may be written; nobody can guess it."""
        folder = self._results / secrets.token_urlsafe(24)
        folder.mkdir()
        return folder / name

    def address(self, path: Path) -> str:
        """The address that a result is fetched from."""
        return f"/results/{path.parent.name}/{quote(path.name)}"

    def find(self, token: str, name: str) -> Path | None:
        """The result behind an address, if it is still there."""
        if not re.fullmatch(r"[\w-]{32}", token):
            return None
        folder = self._results / token
        if not folder.is_dir():
            return None
        return next((path for path in folder.iterdir() if path.name == name and path.is_file()), None)

    def forget(self, path: Path) -> None:
        """Delete the folder of a result."""
        if path.parent.parent == self._results:
            shutil.rmtree(path.parent, ignore_errors=True)

    def uploaded(self, payload: object) -> Path:
        """The file that a request speaks of, as Gradio's clients send it; RefusedError where it did not come here."""
        told = payload.get("path") if isinstance(payload, dict) else None
        if not isinstance(told, str) or not told:
            raise RefusedError("Choose a file first.")
        if not self.holds(told):
            raise RefusedError("Only files that were uploaded here can be used.")
        path = Path(told)
        if not path.is_file():
            raise RefusedError("The file is no longer here. Upload it again.")
        return path

    def holds(self, told: str) -> bool:
        """Whether `told` is the path of something below this folder, links and dots resolved."""
        if "\0" in told or not Path(told).is_absolute():
            return False
        with contextlib.suppress(OSError, ValueError):
            return Path(told).resolve().is_relative_to(self.folder)
        return False

    @contextlib.contextmanager
    def hold(self, path: Path) -> Iterator[None]:
        """Keep a file however long it takes; afterwards it stays as long as if it had just come."""
        path = path.resolve()
        self._held[path] += 1
        try:
            yield
        finally:
            self._held[path] -= 1
            with contextlib.suppress(OSError):
                path.touch()

    def size_bytes(self) -> int:
        """What all files take together."""
        return sum(size for _, size, _ in self._files())

    def sweep(self) -> None:
        """Delete what has lain here long enough."""
        now = time.time()
        for path, _, changed in list(self._files()):
            partial = path.parent == self.folder and path.name.startswith("tmp")
            if self._held[path]:
                continue
            if path.parent.name != "examples" and now - changed > (_PARTIAL_S if partial else self._keep_s):
                path.unlink(missing_ok=True)
                if path.parent not in (self.folder, self._results):
                    with contextlib.suppress(OSError):  # not empty yet
                        path.parent.rmdir()
        for folder in [*self.folder.iterdir(), *self._results.iterdir()]:
            with contextlib.suppress(OSError):  # a file, not empty yet, or gone
                if folder.name not in ("results", "examples") and now - folder.stat().st_mtime > self._keep_s:
                    folder.rmdir()

    async def sweep_for_ever(self, every_s: float = 15.0) -> None:
        """Keep the folder small while the server runs."""
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.sweep)

    def clear(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> Iterator[tuple[Path, int, float]]:
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if path.is_file():
                    yield path, stat.st_size, stat.st_mtime


def download_name(payload: object, ending: str) -> str:
    """What a result is called: the upload's own name, tamed, with `ending`."""
    told = payload.get("orig_name") if isinstance(payload, dict) else None
    stem = Path(told).stem if isinstance(told, str) else ""
    tame = re.sub(r"[^\w.-]+", "_", stem)[:60].strip("._-")
    return f"{tame or 'picture'}{ending}"
