"""The tier gives way before frames are dropped, and comes back with patience."""

from __future__ import annotations

import numpy as np
import pytest

from deepclarity.errors import DeviceError
from deepclarity.models.verdict import Plane
from deepclarity.pipelines.live.governor import Governor, Ladder, Rule, rungs


class Tier:
    """An enhancer that only has a name."""

    backend, scales = "none", (2, 4)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        return np.repeat(np.repeat(luma, scale, axis=0), scale, axis=1)

    def close(self) -> None:
        """Nothing is held."""


class Failing(Tier):
    """One whose device is gone."""

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        raise DeviceError("the card is gone")


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Stream:
    """Frames that leave every 33 ms."""

    def __init__(self, *tiers: str, rule: Rule | None = None) -> None:
        self.clock = Clock()
        self.ladder = Ladder([Tier(name) for name in tiers or ("srgan", "srgan-lite", "turbo", "lanczos")])
        self.governor = Governor(self.ladder, rule or Rule(), clock=self.clock)
        self.dropped = 0
        self.run(1, age_s=0.03)  # it is warm

    def run(self, seconds: float, *, age_s: float, dropping: bool = False) -> str:
        """Let `seconds` pass at that age; the tier after it."""
        for _ in range(round(seconds * 30)):
            self.clock.now += 1 / 30
            self.dropped += dropping
            self.governor.saw(age_s, dropped=self.dropped)
        return self.ladder.name


def test_young_frames_change_nothing() -> None:
    assert Stream().run(60, age_s=0.03) == "srgan"


def test_old_frames_step_down_within_two_seconds_one_tier_at_a_time() -> None:
    stream = Stream()
    seen = [stream.run(0.1, age_s=0.15) for _ in range(20)]
    assert list(dict.fromkeys(["srgan", *seen])) == ["srgan", "srgan-lite", "turbo", "lanczos"]
    assert stream.governor.steps_down == 3


def test_the_first_second_may_be_slow() -> None:
    ladder = Ladder([Tier("turbo"), Tier("lanczos")])
    clock = Clock()
    governor = Governor(ladder, Rule(), clock=clock)
    for _ in range(29):
        clock.now += 1 / 30
        governor.saw(0.5, dropped=0)
    assert ladder.name == "turbo"


def test_where_nothing_is_repaired_another_tier_would_not_help() -> None:
    stream = Stream()
    for number in range(90):
        stream.clock.now += 1 / 30
        stream.governor.saw(0.3 if number > 8 else 0.03, dropped=0, repaired=False)
    assert stream.ladder.name == "srgan"


def test_one_late_frame_is_no_reason() -> None:
    stream = Stream()
    stream.run(1, age_s=0.03)
    stream.run(1 / 30, age_s=0.4)
    assert stream.run(1, age_s=0.03) == "srgan"


def test_the_last_tier_is_the_last() -> None:
    assert Stream("turbo", "lanczos").run(60, age_s=0.5, dropping=True) == "lanczos"


def test_it_steps_up_again_after_ten_calm_seconds() -> None:
    stream = Stream("turbo", "lanczos")
    assert stream.run(1, age_s=0.15) == "lanczos"
    assert stream.run(9, age_s=0.03) == "lanczos"
    assert stream.run(2, age_s=0.03) == "turbo"


def test_a_step_up_that_was_no_good_is_tried_half_as_often() -> None:
    stream = Stream("turbo", "lanczos")
    stream.run(1, age_s=0.15)
    stream.run(11, age_s=0.03)
    assert stream.run(1, age_s=0.15) == "lanczos"  # taken back at once
    assert stream.run(15, age_s=0.03) == "lanczos"
    assert stream.run(6, age_s=0.03) == "turbo"


def test_a_load_that_has_passed_leaves_no_trace() -> None:
    stream = Stream("turbo", "lanczos")
    assert stream.run(3, age_s=0.3, dropping=True) == "lanczos"
    assert stream.run(12, age_s=0.03) == "turbo"
    assert stream.run(60, age_s=0.03) == "turbo"


def test_a_tier_whose_device_fails_is_left_for_good() -> None:
    ladder = Ladder([Failing("srgan"), Tier("turbo")])
    assert ladder(np.zeros((4, 6), np.uint8), scale=4).shape == (16, 24)
    assert ladder.name == "turbo"
    assert not ladder.can_rise
    with pytest.raises(DeviceError, match="gone"):
        Ladder([Failing("srgan")])(np.zeros((4, 6), np.uint8), scale=4)


def test_between_well_and_late_it_stays_where_it_is() -> None:
    stream = Stream("turbo", "lanczos")
    stream.run(1, age_s=0.15)
    assert stream.run(60, age_s=0.08) == "lanczos"


def test_the_ladder_works_with_whoever_stands_on_it() -> None:
    ladder = Ladder([Tier("turbo"), Tier("lanczos")])
    assert ladder(np.zeros((4, 6), np.uint8), scale=4).shape == (16, 24)
    ladder.stand_on(1)
    assert ladder.name == "lanczos"
    assert ladder.can_rise


def test_where_a_tier_may_step_down_to() -> None:
    assert rungs("srgan-lite") == ("srgan-lite", "turbo", "lanczos")
    assert rungs("lanczos") == ("lanczos",)
    assert rungs("srgan-fidelity") == ("srgan-fidelity", "turbo", "lanczos")
