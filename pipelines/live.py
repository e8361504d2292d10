"""The corridor for viewers who watch now: what is late gives way, what is lost is stood in for."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deepclarity.errors import UsageError
from deepclarity.models.detectors import load_detector
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import DEFAULT_ENHANCERS, load_enhancer
from deepclarity.models.verdict import Detector
from deepclarity.stream.address import Address
from deepclarity.stream.encode import EncodeSettings
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import Handover
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.live_encode import LiveEncoding
from deepclarity.stream.live_picture import PLANAR, TIME_BASE
from deepclarity.stream.live_source import LiveSource, give_up
from deepclarity.stream.live_state import State, Waiting
from deepclarity.stream.rtsp_sink import SOUND_CARRIED, RtspSink
from deepclarity.stream.sink import FileSink
from deepclarity.stream.target import check_writable, container_of
from deepclarity.stream.virtual_camera import VirtualCamera
from deepclarity.stream.window import Window

from .detect import detect
from .enhance import Done, enhance
from .fit import Fit, SizeWish
from .governor import Governor, Ladder, Rule, rungs
from .preset import Preset
from .pulse import Pulse, Reading, Tally
from .records import Lane
from .route import Which, route
from .stand_in import stood_in

log = logging.getLogger(__name__)

Watcher = Callable[[Reading], None]
"""Called a few times a second with how the stream is doing."""

_TELL_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class LiveJob:
    """One live stream: where from, where to, how."""

    source: Address
    server: Address | None = None
    """An RTSP server to publish to."""
    file: Path | None = None
    """A file to record into."""
    view: bool = False
    """Whether a window shows it."""
    virtual_camera: str | None = None
    preset: Preset = field(default_factory=Preset)
    name: str = "live"
    """What it is called in the status line and the metrics."""
    sound: bool = True
    loop: bool = False
    """Begin a file again at its end."""
    overwrite: bool = False
    seconds: float | None = None
    """End after so long."""
    waiting: Waiting = field(default_factory=Waiting)


class Live:
    """`with Live(job) as live: live.run()`. `live.reading()` may be asked for at any moment, from any thread."""

    def __init__(
        self,
        job: LiveJob,
        *,
        detector: Detector | None = None,
        ladder: Ladder | None = None,
        watch: Watcher = lambda reading: None,
    ) -> None:
        """`detector`, `ladder`: instead of those that the preset names. Everything that can be refused is, here."""
        self.job = job
        self.pulse = Pulse()
        self.tally = Tally(self.pulse)
        preset = job.preset
        self._canvas = _canvas(preset)
        if job.file is not None:
            check_writable(job.file, source=None, overwrite=job.overwrite)
            container_of(job.file, _file_codec(preset, job.file))
        self._encoding = LiveEncoding("h264" if preset.codec == "auto" else preset.codec, preset.crf, preset.speed)
        works = preset.which is not Which.NONE
        self._detector = detector or (load_detector(preset.method, pixel_art=preset.pixel_art) if works else None)
        self._ladder = ladder or (load_ladder(preset.model, device=preset.device) if works else None)
        self._rule = Rule(target_s=preset.latency_ms / 1000)
        self._governor = Governor(self._ladder, self._rule) if self._ladder else None
        self._watch = watch
        self._stack = contextlib.ExitStack()
        self._source = LiveSource(job.source, canvas=self._canvas, waiting=job.waiting, sound=job.sound, loop=job.loop)
        self._sink: RtspSink | None = None
        self._file: FileSink | None = None
        self._camera: VirtualCamera | None = None
        self._window: Window | None = None
        self._arriving: Handover[Frame] | None = None
        self._leaving: Handover[Done] | None = None

    def __enter__(self) -> Live:
        if self._ladder is not None:
            self._stack.enter_context(contextlib.closing(self._ladder))
        if self.job.view:
            self._window = self._stack.enter_context(Window())
        self._stack.enter_context(self._source)
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def run(self) -> Reading:
        """Until the time is up, the window is closed, a file ends, or somebody interrupts.

        An interruption (BaseException, not Exception) ends the outputs in good order before it goes on its way.
        """
        stopped: BaseException | None = None
        with contextlib.ExitStack() as outputs:
            try:
                self._corridor(outputs)
            except Exception:
                raise
            except BaseException as interruption:
                stopped = interruption
        if stopped is not None:
            raise stopped
        if not self._source.met:
            raise give_up(self._source)
        return self.reading()

    def _corridor(self, outputs: contextlib.ExitStack) -> None:
        """Source, detect, route, enhance, sinks; the newest frame first, the oldest dropped."""
        preset, fit = self.job.preset, Fit(self._canvas, self._canvas, source=(0, 0))
        until_s = time.monotonic() + self.job.seconds if self.job.seconds is not None else None
        told_s = 0.0
        coming = self.tally.counted(self._source)
        arriving = Handover(coming, size=preset.source_buffer_frames, when_full=self._source.when_full)
        with arriving:
            self._arriving = arriving
            judged = detect(arriving, self._detector, self.tally)
            routed = route(judged, preset.routing, resize=False, enlarge=True, summary=self.tally)
            done = stood_in(enhance(routed, self._ladder, fit, self.tally))
            with Handover(done, size=preset.sink_buffer_frames) as leaving:
                self._leaving = leaving
                for item in leaving:
                    self._deliver(item, outputs)
                    if (now := time.monotonic()) - told_s >= _TELL_EVERY_S:
                        told_s = now
                        self._watch(self.reading())
                    if (until_s is not None and now >= until_s) or (self._window and self._window.closed):
                        return

    def _deliver(self, item: Done, outputs: contextlib.ExitStack) -> None:
        """Give one frame to everything that wants it."""
        frame, before = item.frame, item.routed.frame
        if not self._source.met:
            self._show(frame, before)
            return
        if self._sink is None and self._file is None and self._camera is None:
            self._open(outputs)
        began = time.perf_counter()
        if self._sink is not None:
            while self._source.sound:
                self._sink.hear(self._source.sound.popleft())
            self._sink.write(frame)
        if self._file is not None:
            self._file.write(frame)
        if self._camera is not None:
            self._camera.write(frame)
        self._show(frame, before)
        self.pulse.stages["encode"].add(time.perf_counter() - began)
        self._left(frame, repaired=item.routed.lane is Lane.ENHANCE)

    def _left(self, frame: Frame, *, repaired: bool) -> None:
        self.tally.frames_out += 1
        self.pulse.left.tick()
        if frame.stands_in is not None or frame.arrived_s is None:
            return
        age_s = time.monotonic() - frame.arrived_s
        if self._sink is None:
            self.pulse.leaves(age_s)
        if self._governor is not None and self._arriving is not None:
            dropped, step_s = self._arriving.dropped, self._source.step_s
            self._governor.saw(age_s, dropped=dropped, interval_s=step_s, repaired=repaired)

    def _show(self, frame: Frame, before: Frame) -> None:
        if self._window is not None:
            reading = self.reading()
            told = f"{reading.fps_out:.0f} fps  {reading.latency_p50_ms:.0f} ms  {reading.tier}"
            shown = frame if before.stands_in else before
            self._window.show(frame, shown, told=told)

    def _open(self, outputs: contextlib.ExitStack) -> None:
        """Open the outputs, now that it is known what the source sends."""
        job, source = self.job, self._source
        if job.server is not None:
            self._sink = outputs.enter_context(
                RtspSink(
                    job.server,
                    size=self._canvas,
                    rate=source.rate,
                    encoding=self._encoding.tagged(source.colour),
                    source_sample=self._heard(),
                    timeout_s=job.waiting.open_s,
                    written=self.pulse.leaves,
                )
            )
        if job.file is not None:
            self._file = outputs.enter_context(self._recorder(job.file))
        if job.virtual_camera is not None:
            camera = VirtualCamera(job.virtual_camera, size=self._canvas, rate=float(source.rate))
            self._camera = outputs.enter_context(camera)

    def _heard(self) -> bytes | None:
        """The sample of the source's sound, where it can be sent along."""
        kind = self._source.sound_kind
        if kind is not None and kind.codec not in SOUND_CARRIED:
            log.warning("%s: its %s sound cannot be sent over RTSP and is left out", self.job.name, kind.codec)
            return None
        return self._source.sample if kind is not None else None

    def _recorder(self, path: Path) -> FileSink:
        preset, source = self.job.preset, self._source
        info = VideoInfo(source.address.label, *self._canvas, PLANAR, TIME_BASE, rate=source.rate, colour=source.colour)
        settings = EncodeSettings(
            _file_codec(preset, path), preset.crf, preset.speed, restart_every=preset.restart_every_frames
        )
        return FileSink(path, info=info, size=self._canvas, planar=PLANAR, settings=settings)

    def reading(self) -> Reading:
        """How it is doing now."""
        source, sink, tally, pulse = self._source, self._sink, self.tally, self.pulse
        reading = Reading(
            self.job.name,
            source=source.address.label,
            sink=self.job.server.label if self.job.server else "",
            source_state=source.state.value,
            sink_state=sink.state.value if sink else (State.CONNECTING if self.job.server else State.CONNECTED).value,
            reason=source.reason or (sink.reason if sink else ""),
            tier=self._ladder.name if self._ladder else "none",
            fps_in=pulse.came.per_s,
            fps_out=pulse.left.per_s,
            latency_p50_ms=pulse.latency_ms(0.5),
            latency_p99_ms=pulse.latency_ms(0.99),
        )
        reading.lanes = {"pass": tally.passed, "resize": tally.resized, "enhance": tally.repaired}
        reading.drops = {
            "late": self._arriving.dropped if self._arriving else 0,
            "server": sink.counts.dropped if sink else 0,
        }
        reading.counts = self._counts()
        reading.queues = {
            "arriving": self._arriving.waiting if self._arriving else 0,
            "leaving": self._leaving.waiting if self._leaving else 0,
            "server": sink.waiting if sink else 0,
        }
        reading.histograms = pulse.histograms()
        return reading

    def _counts(self) -> dict[str, int]:
        source, sink, governor = self._source.counts, self._sink, self._governor
        return {
            "frames_in": self.tally.frames_in,
            "frames_out": self.tally.frames_out,
            "source_reconnects": source.reconnects,
            "source_failures": source.failures,
            "sink_reconnects": sink.counts.reconnects if sink else 0,
            "sink_failures": sink.counts.failures if sink else 0,
            "written": sink.counts.written if sink else 0,
            "lost_packets": source.lost_packets,
            "damaged_packets": source.damaged_packets,
            "damaged_frames": source.damaged_frames,
            "retimed": source.retimed,
            "source_changes": source.changes,
            "held": source.held,
            "slates": source.slates,
            "not_repaired": self.tally.fallback,
            "lane_switches": self.tally.lane_switches,
            "tier_steps_down": governor.steps_down if governor else 0,
            "tier_steps_up": governor.steps_up if governor else 0,
        }


def load_ladder(tier: str, *, device: str) -> Ladder:
    """`tier` and what it may step down to, loaded on `device`."""
    first = load_enhancer(tier, device=device)
    if tier == "auto":
        tier = first.name if first.name in DEFAULT_ENHANCERS.values() else tier
    others: list[Enhancer] = [load_enhancer(name, device=device) for name in rungs(first.name)[1:]]
    return Ladder([first, *others])


def _canvas(preset: Preset) -> tuple[int, int]:
    """(width, height) of the frames that leave: always the same, whatever the source sends."""
    width, height = SizeWish.parse(preset.size).box
    if width % 2 or height % 2:
        raise UsageError(f"--size {preset.size}: live video wants an even width and height.")
    return width, height


def _file_codec(preset: Preset, path: Path) -> str:
    if preset.codec != "auto":
        return preset.codec
    return "av1" if path.suffix.lower() == ".webm" else "h264"
