"""Governor: steps down a tier before frames are dropped, and steps up again only after a stable period."""

from __future__ import annotations

import numpy as np
import pytest

from deepclarity.errors import DeviceError
from deepclarity.models.verdict import Plane
from deepclarity.pipelines.executor import CpuExecutor, RepairRequest
from deepclarity.pipelines.live.governor import Governor, GovernorSettings, Ladder, fallback_tiers


class Tier:
    """An enhancer that only has a name."""

    backend, scales = "none", (2, 4)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        return np.repeat(np.repeat(luma, scale, axis=0), scale, axis=1)

    def close(self) -> None:
        """Nothing to close."""


class Failing(Tier):
    """A tier whose device always fails."""

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        raise DeviceError("device lost")


def _ladder(*tiers: Tier) -> Ladder:
    return Ladder([CpuExecutor(tier) for tier in tiers])


def _request() -> RepairRequest:
    luma, chroma = np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)
    return RepairRequest((luma, chroma, chroma), blocks=None, size=(24, 16))


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """A stream that outputs a frame every 33 ms."""

    def __init__(self, *tiers: str, settings: GovernorSettings | None = None) -> None:
        self.clock = Clock()
        self.ladder = _ladder(*(Tier(name) for name in tiers or ("srgan", "srgan-lite", "turbo", "lanczos")))
        self.governor = Governor(self.ladder, settings or GovernorSettings(), clock=self.clock)
        self.dropped = 0
        self.run(1, age_s=0.03)  # past the warm-up

    def run(self, seconds: float, *, age_s: float, dropping: bool = False) -> str:
        """Run for `seconds` with frames of this age; returns the tier in use afterwards."""
        for _ in range(round(seconds * 30)):
            self.clock.now += 1 / 30
            self.dropped += dropping
            self.governor.observe(age_s, dropped=self.dropped)
        return self.ladder.name


def test_low_latency_keeps_the_tier() -> None:
    assert Stream().run(60, age_s=0.03) == "srgan"


def test_high_latency_steps_down_one_tier_at_a_time_within_two_seconds() -> None:
    stream = Stream()
    tiers = [stream.run(0.1, age_s=0.15) for _ in range(20)]
    assert list(dict.fromkeys(["srgan", *tiers])) == ["srgan", "srgan-lite", "turbo", "lanczos"]
    assert stream.governor.steps_down == 3


def test_latency_during_warm_up_is_ignored() -> None:
    ladder = _ladder(Tier("turbo"), Tier("lanczos"))
    clock = Clock()
    governor = Governor(ladder, GovernorSettings(), clock=clock)
    for _ in range(29):
        clock.now += 1 / 30
        governor.observe(0.5, dropped=0)
    assert ladder.name == "turbo"


def test_no_step_down_when_nothing_is_repaired() -> None:
    stream = Stream()
    for number in range(90):
        stream.clock.now += 1 / 30
        stream.governor.observe(0.3 if number > 8 else 0.03, dropped=0, repaired=False)
    assert stream.ladder.name == "srgan"


def test_single_late_frame_keeps_the_tier() -> None:
    stream = Stream()
    stream.run(1, age_s=0.03)
    stream.run(1 / 30, age_s=0.4)
    assert stream.run(1, age_s=0.03) == "srgan"


def test_no_step_below_the_last_tier() -> None:
    assert Stream("turbo", "lanczos").run(60, age_s=0.5, dropping=True) == "lanczos"


def test_steps_up_after_ten_stable_seconds() -> None:
    stream = Stream("turbo", "lanczos")
    assert stream.run(1, age_s=0.15) == "lanczos"
    assert stream.run(9, age_s=0.03) == "lanczos"
    assert stream.run(2, age_s=0.03) == "turbo"


def test_failed_step_up_doubles_the_stable_period() -> None:
    stream = Stream("turbo", "lanczos")
    stream.run(1, age_s=0.15)
    stream.run(11, age_s=0.03)
    assert stream.run(1, age_s=0.15) == "lanczos"  # taken back at once
    assert stream.run(15, age_s=0.03) == "lanczos"
    assert stream.run(6, age_s=0.03) == "turbo"


def test_recovers_fully_after_temporary_load() -> None:
    stream = Stream("turbo", "lanczos")
    assert stream.run(3, age_s=0.3, dropping=True) == "lanczos"
    assert stream.run(12, age_s=0.03) == "turbo"
    assert stream.run(60, age_s=0.03) == "turbo"


def test_tier_whose_device_fails_is_disabled() -> None:
    ladder = _ladder(Failing("srgan"), Tier("turbo"))
    assert ladder.submit(_request()).result()[0].shape == (16, 24)
    assert ladder.name == "turbo"
    assert not ladder.can_step_up
    with pytest.raises(DeviceError, match="device lost"):
        _ladder(Failing("srgan")).submit(_request()).result()


def test_latency_between_headroom_and_target_keeps_the_tier() -> None:
    stream = Stream("turbo", "lanczos")
    stream.run(1, age_s=0.15)
    assert stream.run(60, age_s=0.08) == "lanczos"


def test_ladder_delegates_to_the_selected_tier() -> None:
    ladder = _ladder(Tier("turbo"), Tier("lanczos"))
    assert ladder.submit(_request()).result()[0].shape == (16, 24)
    ladder.select(1)
    assert ladder.name == "lanczos"
    assert ladder.can_step_up


def test_fallback_tiers() -> None:
    assert fallback_tiers("srgan-lite") == ("srgan-lite", "turbo", "lanczos")
    assert fallback_tiers("lanczos") == ("lanczos",)
    assert fallback_tiers("srgan-fidelity") == ("srgan-fidelity", "turbo", "lanczos")
