"""Networks that several runs share."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from deepclarity.models.colour import YCbCr
from deepclarity.pipelines import load_executor
from deepclarity.pipelines.jobs.job import Job
from deepclarity.pipelines.load_executor import Networks
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.upscale import upscale
from tests.clips import ClipSpec, encode_clip


def test_each_network_is_loaded_once_for_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    for name in ("load_enhancer", "load_detector"):
        load = getattr(load_executor, name)
        monkeypatch.setattr(
            load_executor, name, lambda key, load=load, **options: loaded.append(key) or load(key, **options)
        )
    clip = encode_clip(tmp_path / "clip.mp4", ClipSpec(count=2))
    preset = Preset(model="lanczos", method="grid", size="160x90", speed="ultrafast")
    with contextlib.closing(Networks()) as networks:
        for number in range(3):
            upscale(Job(clip, tmp_path / f"{number}.mp4", preset), networks=networks)
    assert sorted(loaded) == ["grid", "lanczos"]


def test_networks_are_kept_by_name_and_device() -> None:
    with contextlib.closing(Networks()) as networks:
        one = networks.executor("lanczos", device="cpu", colour=YCbCr())
        assert networks.executor("lanczos", device="cpu", colour=YCbCr(matrix=1)) is one
        assert networks.executor("turbo", device="cpu", colour=YCbCr()) is not one
        assert networks.detector("grid", pixel_art=False) is networks.detector("grid", pixel_art=False)
        assert networks.enhancer("lanczos", device="cpu") is networks.enhancer("lanczos", device="cpu")
