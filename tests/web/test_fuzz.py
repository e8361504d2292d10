"""Damaged HTTP bodies get an answer in words, and the server goes on."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.fuzz.http_bodies import HttpFuzzer
from tests.web.conftest import Server

SEEDS = 60
"""A few of those that `benchmarks/fuzz.py` runs by the thousand."""


def test_damaged_bodies_are_answered_in_words(server: Server, tmp_path: Path) -> None:
    with httpx.Client(base_url=server.address, timeout=60) as client:
        fuzzer = HttpFuzzer(client, tmp_path)
        outcomes = [outcome for seed in range(SEEDS) for outcome in fuzzer.outcomes(seed)]
        assert [outcome for outcome in outcomes if outcome.failure] == []
        assert {200, 400} <= {outcome.code for outcome in outcomes}
        assert client.get("/").status_code == 200
