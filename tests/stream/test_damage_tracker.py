"""Damage is followed from the frame it hits to those predicted from it."""

from __future__ import annotations

from deepclarity.stream.damage import DamageTracker


def intact(flags: str) -> str:
    """`flags`, a letter a frame: k a key frame, c a corrupt one, . any other. Returns + for intact, - for damaged."""
    tracker = DamageTracker()
    return "".join("+" if tracker.is_intact(key=flag == "k", corrupt=flag == "c") else "-" for flag in flags)


def test_undamaged_frames_are_intact() -> None:
    assert intact("k" + "." * 20) == "+" * 21


def test_damage_lasts_until_the_next_key_frame() -> None:
    assert intact("k..c....k...") == "+++-----++++"


def test_damage_without_key_frames_heals_in_the_end() -> None:
    found = intact("kc" + "." * 400)
    assert found.startswith("+-" + "-" * 240)
    assert found.endswith("+" * 100)


def test_lost_packet_damages_what_follows() -> None:
    tracker = DamageTracker()
    assert tracker.is_intact(key=True, corrupt=False)
    tracker.lost()
    assert not tracker.is_intact(key=False, corrupt=False)
    assert tracker.is_intact(key=True, corrupt=False)
