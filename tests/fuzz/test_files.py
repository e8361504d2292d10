"""Damaged files end in exit code 0, 2 or 3, without a crash, a hang or an output that does not play."""

from __future__ import annotations

from pathlib import Path

import pytest

from .damage import damage
from .harness import Worker, fuzz_file
from .sources import write_source

SEEDS = {"mp4": (3,), "mkv": (2, 7), "avi": (4,), "mpg": (5,), "gif": (0,), "flv": (1, 49), "ts": (205,)}
"""A few of those that `benchmarks/fuzz.py` runs by the hundred."""


@pytest.mark.timeout(120)
def test_a_few_damaged_files_of_each_kind_end_well(tmp_path: Path) -> None:
    with Worker(limit_s=60) as worker:
        outcomes = [
            outcome
            for container, seeds in SEEDS.items()
            for source in [write_source(tmp_path, container)]
            for seed in seeds
            for outcome in fuzz_file(worker, source, seed, tmp_path)
        ]
    assert [outcome for outcome in outcomes if outcome.failure] == []
    assert {outcome.code for outcome in outcomes} >= {0, 2}


def test_damage_is_the_same_for_the_same_seed() -> None:
    data = bytes(range(256)) * 40
    found = [damage(data, seed) for seed in range(60)]
    assert found == [damage(data, seed) for seed in range(60)]
    assert len({changed for changed, _ in found}) > 50  # the data repeats itself, so some damages do too
    assert len({kind for _, kinds in found for kind in kinds}) == 7


def test_a_worker_survives_what_it_reports(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.mp4"
    with Worker(limit_s=60) as worker:
        assert worker.run(["detect", str(nothing)], None)[0] == 2
        assert worker.run(["no-such-command"], None)[0] == 2
    with Worker(limit_s=0.001) as worker:
        assert "hang" in str(worker.run(["detect", str(nothing)], None)[1])
