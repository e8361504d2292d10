"""Wording: names and text use the field's standard terms, not words that only this project would understand."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

WORDS = {
    "corridor": "pipeline",
    "outlet": "sink",
    "pulse": "stats",
    "tell|tells|telling|told|teller|untold": "recorder, output, message, say, report",
    "stand in|stands in|stood in|standing in|stand-in|stands-in": "placeholder",
    "glance": "probe",
    "rising": "monotonic, increasing",
    "pull|pulls|pulled|pulling": "read, reader process",
    "wire": "ipc",
    "whole|wholes": "complete, entire, atomic, intact",
    "door": "middleware",
    "guard|guards|guarded|guarding": "content check, protect",
    "room|rooms": "disk quota, space, headroom, folder",
    "sighting": "sample",
    "wear|wears|wearing|worn": "augmentation, degraded",
    "material|materials": "photos, source images, data",
    "judge|judged|judges|judging|judgement|judgements|judgeable": "detect, score, verdict",
    "looks": "crops, theme; of a person or program: examines, checks",
    "journal": "training run, log",
    "adversary": "discriminator",
    "stranger": "peer, untrusted",
    "ward": "supervised process",
    "desk": "inference",
    "shelf|shelves": "result store",
    "panel": "component, card, subplot",
    "ticket": "resume token",
    "unfinished": "partial output",
    "house|houses|household": "project, repository",
}
"""Words of an older vocabulary, as regular expressions, and what to say instead."""

STANDARD = ("unfinished_tasks", "sink.pull()", "mkdocs-material", "name: material", "material/weather", '"panels"')
"""Names of libraries that hold such a word: `queue.Queue.unfinished_tasks`, a sink of PyAV's filter graph, a theme,
Grafana's JSON."""

NAMES = {
    "write_whole": "atomic_write",
    "Child|ChildLostError": "Subprocess",
    "Take": "Augmented",
    "written_over": "draw_overlays",
    "enlarge_in_parts": "enlarge_tiled",
    "Look|Steps|steps_along_axes": "LatticeCrops, GradientProfiles",
    "Body|Parts|Attempts|CutError|Room|Tools|Words": "UploadReader, UploadParser, RateLimiter, ModelCache, …",
    "Ticket|Unfinished|Material|Judge|Aside|Later": "ResumeToken, PartialOutput, SourceImages, …",
    "dead_man|left_alone|hush_opencv": "watchdog, ignore_signals, silence_opencv",
}
"""Identifiers that must not come back; their words are standard elsewhere: a training step, an HTTP body."""

EXEMPT = {
    "pipelines/demo": {"house"},  # the demo's picture is of a town, and a town has houses
    "tests/pipelines/demo": {"house"},
}
MODULES = [
    "telling",
    "tell",
    "told",
    "glance",
    "rising",
    "pull",
    "publish",
    "wire",
    "child",
    "whole",
    "door",
    "guard",
    "body",
    "parts",
    "attempts",
    "room",
    "cut",
    "desk",
    "tools",
    "shelf",
    "looks",
    "words",
    "panel",
    "sightings",
    "outlets",
    "pulse",
    "stand_in",
    "judge",
    "judgeable",
    "steps",
    "journal",
    "adversary",
    "descent",
    "muon",
    "relays",
]
CHECKED = {".py", ".md", ".toml", ".html", ".css", ".js", ".yml", ".yaml", ".service", ""}


def tracked() -> list[Path]:
    """Every text file of the repository but the licence and this test."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    left_out = {ROOT / "LICENSE", Path(__file__)}
    return [path for path in paths if path.suffix in CHECKED and path.is_file() and path not in left_out]


def pieces(text: str) -> str:
    """`text` with the words of its identifiers apart: `toldApart` and `_told_apart` both hold `told`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text.replace("_", " "))


def old_words(path: Path) -> Iterator[str]:
    """`line: word (say: …)` for each old word in a file."""
    relative = path.relative_to(ROOT).as_posix()
    exempt = {word for folder, words in EXEMPT.items() if relative.startswith(folder) for word in words}
    words = {
        pattern: re.compile(rf"(?<![a-z])(?:{pattern})(?:s)?(?![a-z])", re.IGNORECASE)
        for pattern in WORDS
        if not exempt & set(pattern.split("|"))
    }
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for name in STANDARD:
            line = line.replace(name, "")  # noqa: PLW2901
        apart = pieces(line)
        for pattern, found in words.items():
            if match := found.search(apart):
                yield f"{relative}:{number}: '{match[0]}' (say: {WORDS[pattern]})"


def old_names(path: Path) -> Iterator[str]:
    """`line: name (say: …)` for each old identifier in a Python file."""
    names = {re.compile(pattern): say for pattern, say in NAMES.items()}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        for pattern, say in names.items():
            if token.type == tokenize.NAME and pattern.fullmatch(token.string):
                yield f"{path.relative_to(ROOT).as_posix()}:{token.start[0]}: {token.string} (say: {say})"


def test_no_word_of_the_old_vocabulary_is_left() -> None:
    found = [problem for path in tracked() for problem in old_words(path)]
    assert found == []


def test_no_identifier_of_the_old_vocabulary_is_left() -> None:
    found = [problem for path in tracked() if path.suffix == ".py" for problem in old_names(path)]
    assert found == []


def test_no_module_has_a_name_of_the_old_vocabulary() -> None:
    assert [path for path in tracked() if path.suffix == ".py" and path.stem in MODULES] == []
