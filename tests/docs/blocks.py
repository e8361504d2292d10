"""The fenced blocks of the documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_MARK = re.compile(r"<!-- (not run|stopped after|test command)(?:: | )?(.*?) ?-->\s*$")
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
_OPERATORS = {"|", "||", "&&", "&", ";", "(", ")"}
_REDIRECTIONS = {"<", ">", ">>", ">&", "<<"}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    """Path from the root of the repository."""
    line: int
    """Of its first line."""
    language: str
    text: str
    not_run: str | None
    """Why it cannot be run by a test: `<!-- not run: needs a camera -->` above it."""
    stopped_after_s: float | None
    """Seconds after which what does not end by itself is stopped: `<!-- stopped after 5 s -->` above it."""

    @property
    def place(self) -> str:
        """`docs/relay.md:12`."""
        return f"{self.page}:{self.line}"

    def lines(self) -> Iterator[tuple[int, str]]:
        """(line number in the page, shell line), continued lines joined, without comments and empty lines."""
        pending, start = "", self.line
        for number, line in enumerate(self.text.splitlines(), self.line):
            start = start if pending else number
            pending += line.removesuffix("\\") if line.endswith("\\") else line
            if line.endswith("\\"):
                continue
            command = re.sub(r"(^|\s)#\s.*$", "", pending).strip()
            pending = ""
            if command:
                yield start, command


def pages() -> list[Path]:
    """Every page of the documentation, the README included."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        above = text[: found.start()].rstrip("\n").rsplit("\n", 1)[-1]
        mark = _MARK.search(above)
        kind, words = (mark[1], mark[2]) if mark else ("", "")
        yield Block(
            page.relative_to(ROOT).as_posix(),
            text.count("\n", 0, found.start()) + 2,
            found["language"],
            re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            {"not run": words, "test command": "the tests would run themselves"}.get(kind),
            float(words.removesuffix("s")) if kind == "stopped after" else None,
        )


def commands(line: str) -> Iterator[list[str]]:
    """The arguments of each `deepclarity` command in a shell line, without redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _OPERATORS:
            words.append(word)
            continue
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words and words[0].rsplit("/", 1)[-1] == "deepclarity":
            yield _without_redirections(words[1:])
        words = []


def _without_redirections(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word not in _REDIRECTIONS:
            kept.append(word)
        skip = word in _REDIRECTIONS
    return kept
