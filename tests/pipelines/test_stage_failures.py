"""A failing stage of the pipeline: the error reaches the caller after the frames before it, and all threads stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from deepclarity.errors import DeviceError, SourceError
from deepclarity.models.verdict import Blocks, Chroma, Kind, Plane, Verdict
from deepclarity.pipelines.executor import CpuExecutor
from deepclarity.pipelines.fit import SizeRequest, fit
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.report.recorder import Recorder
from deepclarity.pipelines.upscale import run_pipeline
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import Colour, VideoInfo
from tests.conftest import MakeClip


@dataclass
class FakeSink:
    """Sink that records the frame indices and can fail at one of them."""

    fail_at: int | None = None
    indices: list[int] = field(default_factory=list)
    busy_s: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def write(self, frame: Frame) -> None:
        if frame.index == self.fail_at:
            raise ZeroDivisionError("the sink failed")
        self.indices.append(frame.index)


@dataclass
class FakeDetector:
    """Detector that calls every frame pixelated and can fail at one of them."""

    fail_at: int | None = None
    name: str = "fake"
    frames: int = 0

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        if self.frames == self.fail_at:
            raise ZeroDivisionError("the detector failed")
        self.frames += 1
        return Verdict(0.99, Kind.PIXELATED, Blocks(2, 2))


@dataclass
class FailingEnhancer:
    """Enhancer that raises `error` at call `fail_from` and the following `failures - 1` calls."""

    error: Exception
    fail_from: int
    failures: int = 10**9
    name: str = "failing"
    backend: str = "none"
    scales: tuple[int, ...] = (2,)
    calls: int = 0

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        self.calls += 1
        if self.fail_from <= self.calls < self.fail_from + self.failures:
            raise self.error
        return luma.repeat(scale, axis=0).repeat(scale, axis=1)

    def close(self) -> None:
        return


class FailingSource:
    """Source that fails after ten frames."""

    def __init__(self, source: FileSource) -> None:
        self.info, self.when_full, self._source = source.info, source.when_full, source
        self.damaged = self.retimed = 0
        self.busy_s = 0.0

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            if frame.index == 10:
                raise SourceError("the cable was unplugged")
            yield frame


@dataclass
class PipelineRun:
    """A pipeline of fake stages, each of which can be made to fail."""

    source: FileSource
    sink: FakeSink = field(default_factory=FakeSink)
    detector: FakeDetector = field(default_factory=FakeDetector)
    enhancer: FailingEnhancer | None = None
    source_fails: bool = False
    summary: Summary = field(default_factory=Summary)

    def run(self, progress_fails: bool = False) -> None:
        def progress(summary: Summary, info: VideoInfo) -> None:
            if progress_fails and summary.frames_out == 10:
                raise ZeroDivisionError("the progress bar failed")

        run_pipeline(
            FailingSource(self.source) if self.source_fails else self.source,
            self.sink,
            detector=self.detector,
            executor=CpuExecutor(self.enhancer) if self.enhancer else None,
            preset=Preset(),
            fit=fit(self.source.info, SizeRequest.parse("320x180")),
            recorder=Recorder(self.summary, "yuv420p", Colour(), keep_pictures=False),
            progress=progress,
        )


@pytest.fixture
def pipeline(make_clip: MakeClip) -> Iterator[PipelineRun]:
    before = threading.active_count()
    with FileSource(make_clip(count=30, size=(160, 90), pixelated=range(30), block_px=2)) as source:
        yield PipelineRun(source)
    assert threading.active_count() == before


def test_source_failure_is_raised_after_its_frames(pipeline: PipelineRun) -> None:
    pipeline.source_fails = True
    with pytest.raises(SourceError, match="cable"):
        pipeline.run()
    assert pipeline.sink.indices == list(range(len(pipeline.sink.indices)))
    assert len(pipeline.sink.indices) == 10


def test_detector_failure_is_raised_after_its_frames(pipeline: PipelineRun) -> None:
    pipeline.detector.fail_at = 10
    with pytest.raises(ZeroDivisionError, match="detector"):
        pipeline.run()
    assert pipeline.sink.indices == list(range(10))


def test_sink_failure_is_raised(pipeline: PipelineRun) -> None:
    pipeline.sink.fail_at = 10
    with pytest.raises(ZeroDivisionError, match="sink"):
        pipeline.run()
    assert pipeline.sink.indices == list(range(10))


def test_progress_callback_failure_is_raised(pipeline: PipelineRun) -> None:
    with pytest.raises(ZeroDivisionError, match="progress"):
        pipeline.run(progress_fails=True)


def test_enhancer_bug_is_raised(pipeline: PipelineRun) -> None:
    pipeline.enhancer = FailingEnhancer(ZeroDivisionError("the enhancer failed"), fail_from=5)
    with pytest.raises(ZeroDivisionError, match="enhancer"):
        pipeline.run()
    assert pipeline.sink.indices == list(range(len(pipeline.sink.indices)))


@pytest.mark.parametrize("error", [DeviceError("lost"), MemoryError("out of memory")])
def test_transient_device_errors_fall_back_to_resizing(pipeline: PipelineRun, error: Exception) -> None:
    pipeline.enhancer = FailingEnhancer(error, fail_from=5, failures=3)
    pipeline.run()
    assert pipeline.sink.indices == list(range(30))
    assert pipeline.summary.fallback == 3
    assert pipeline.summary.repaired + pipeline.summary.resized == pipeline.summary.frames_out == 30


def test_persistent_device_error_is_raised(pipeline: PipelineRun) -> None:
    pipeline.enhancer = FailingEnhancer(DeviceError("lost"), fail_from=5)
    with pytest.raises(DeviceError, match="in a row"):
        pipeline.run()
    assert pipeline.sink.indices == list(range(len(pipeline.sink.indices)))
