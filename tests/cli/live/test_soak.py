"""`relay` for a long time: nothing grows."""

from __future__ import annotations

import pytest

from tests.rtsp.soak import soak

ROUNDS, ROUND_S = 8, 40.0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_accelerated_hours_leave_memory_threads_and_descriptors_constant() -> None:
    with soak(speed=60) as running:
        samples = [running.run_round(ROUND_S) for _ in range(ROUNDS)]
        assert running.server.sessions("out") == 1
    early, late = samples[2:5], samples[-3:]
    assert late[-1].main_mb - early[-1].main_mb < 8
    assert min(sample.threads for sample in late) <= min(sample.threads for sample in early)  # some come and go
    assert min(sample.descriptors for sample in late) <= min(sample.descriptors for sample in early)
