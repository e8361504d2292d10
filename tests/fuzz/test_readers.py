"""Damaged presets, relay files, manifests, checkpoints and pictures are read or refused in words."""

from __future__ import annotations

from pathlib import Path

from .damage import damage_text
from .harness import Outcome, Worker, fuzz_reader
from .readers import READERS

DOCUMENT_SEEDS, PICTURE_SEEDS = 20, 3
"""A few of those that `benchmarks/fuzz.py` runs by the hundred."""


def outcomes_of(folder: Path, *, pictures: bool, seeds: int) -> list[Outcome]:
    (folder / "intact").mkdir()
    (folder / "damaged").mkdir()
    found: list[Outcome] = []
    with Worker(limit_s=60) as worker:
        for kind in [kind for kind, reader in READERS.items() if (reader.read is None) == pictures]:
            source = READERS[kind].write(folder / "intact")
            for seed in range(seeds):
                found += fuzz_reader(worker, kind, source, seed, folder / "damaged")
    return found


def test_damaged_documents_are_read_or_refused(tmp_path: Path) -> None:
    outcomes = outcomes_of(tmp_path, pictures=False, seeds=DOCUMENT_SEEDS)
    assert [outcome for outcome in outcomes if outcome.failure] == []
    assert {outcome.code for outcome in outcomes} == {0, 2}


def test_damaged_pictures_are_repaired_or_refused(tmp_path: Path) -> None:
    outcomes = outcomes_of(tmp_path, pictures=True, seeds=PICTURE_SEEDS)
    assert [outcome for outcome in outcomes if outcome.failure] == []
    assert {outcome.code for outcome in outcomes} == {0, 2}


def test_values_of_documents_become_odd_ones() -> None:
    changed = [damage_text(b'size = "fhd"\ncrf = 20\n', seed) for seed in range(200)]
    assert any(b"crf = -1" in data for data, _ in changed)
    assert {"values"} < {kind for _, kinds in changed for kind in kinds}
