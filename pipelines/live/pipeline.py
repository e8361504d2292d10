"""The live pipeline: drops late frames, and shows placeholders while the source is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from deepclarity.errors import OutputError
from deepclarity.models.colour import YCbCr
from deepclarity.models.detectors import load_detector
from deepclarity.models.verdict import Detector
from deepclarity.pipelines.detect import detect
from deepclarity.pipelines.enhance import Enhanced, enhance
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.load_executor import encoding_of, load_executor
from deepclarity.pipelines.records import Lane
from deepclarity.pipelines.route import FrameSelection, route
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import Handover
from deepclarity.stream.interrupts import defer_interrupts
from deepclarity.stream.live.source import LiveSource, connect_failed
from deepclarity.stream.live.state import State
from deepclarity.stream.user_data.sharing import following_user_data

from .governor import Governor, GovernorSettings, Ladder, fallback_tiers
from .placeholder import fill_placeholders
from .sinks import LiveJob, LiveSinks
from .stats import LiveStats, LiveSummary, StatsSnapshot

Watcher = Callable[[StatsSnapshot], None]
"""Called a few times per second with the stream's current stats."""

_WATCH_INTERVAL_S = 0.25


class Live:
    """`with Live(job) as live: live.run()`. `live.snapshot()` may be called at any time from any thread."""

    def __init__(
        self,
        job: LiveJob,
        *,
        detector: Detector | None = None,
        ladder: Ladder | None = None,
        watch: Watcher = lambda snapshot: None,
    ) -> None:
        """`detector`, `ladder`: used instead of those the preset names. Raises here for every invalid option."""
        self.job = job
        self.stats = LiveStats()
        self.summary = LiveSummary(self.stats)
        preset = job.preset
        self._source = LiveSource(
            job.source, slate_size=job.canvas, timeouts=job.timeouts, audio=job.audio, loop=job.loop
        )
        self._sinks = LiveSinks(job, self._source, self.stats)
        repairs = preset.which is not FrameSelection.NONE
        self._detector = detector or (load_detector(preset.method, pixel_art=preset.pixel_art) if repairs else None)
        self._ladder = ladder or (self._load_ladder(preset.model, preset.device) if repairs else None)
        settings = GovernorSettings(target_s=preset.latency_ms / 1000)
        self._governor = Governor(self._ladder, settings) if self._ladder else None
        self._watch = watch
        self._stack = contextlib.ExitStack()
        self._arriving: Handover[Frame] | None = None
        self._leaving: Handover[Enhanced] | None = None

    def __enter__(self) -> Live:
        with contextlib.ExitStack() as opened:  # closes what is already open if the next step fails
            if self._ladder is not None:
                opened.enter_context(contextlib.closing(self._ladder))
            self._sinks.open_window(opened)
            opened.enter_context(self._source)
            self._stack = opened.pop_all()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def run(self) -> StatsSnapshot:
        """Run until the time is up, the window is closed, the file ends, or an interruption; returns the final stats.

        An interruption (BaseException, not Exception) is raised again after the outputs have been finished. Raises
        the source's error if it never delivered a frame, OutputError if the server was never reached.
        """
        interrupted: BaseException | None = None
        with contextlib.ExitStack() as outputs:
            try:
                self._run_pipeline(outputs)
            except Exception:
                raise
            except BaseException as interruption:
                interrupted = interruption
            with defer_interrupts():  # a second Ctrl-C must not lose what the first one saved
                outputs.close()
        if interrupted is not None:
            raise interrupted
        if not self._source.ever_connected and not self._window_closed:
            raise connect_failed(self._source)
        server = self._sinks.server
        if server is not None and not server.counts.connections:
            raise OutputError(f"{server.address.label}: {server.reason}; no frame was published.")
        return self.snapshot()

    def _run_pipeline(self, outputs: contextlib.ExitStack) -> None:
        """Source, detect, route, enhance, sinks; when the buffer is full the oldest frame is dropped."""
        job, preset = self.job, self.job.preset
        fit = Fit(job.canvas, job.canvas, source=(0, 0))  # no frame has this size, so each is fitted by its own
        until_s = time.monotonic() + job.seconds if job.seconds is not None else None
        watched_s = 0.0
        counted = self.summary.count_arrivals(self._source)
        with Handover(
            counted, size=preset.source_buffer_frames, when_full=self._source.when_full, merge=_following
        ) as arriving:
            self._arriving = arriving
            scored = detect(arriving, self._detector, self.summary)
            routed = route(scored, preset.routing, resize=False, enlarge=True, summary=self.summary)
            enhanced = enhance(routed, self._ladder, fit, self.summary)
            output = fill_placeholders(enhanced)
            with Handover(output, size=preset.sink_buffer_frames) as leaving, contextlib.closing(self._source):
                self._leaving = leaving
                for item in leaving:
                    self._deliver(item, outputs)
                    if (now := time.monotonic()) - watched_s >= _WATCH_INTERVAL_S:
                        watched_s = now
                        self._watch(self.snapshot())
                    if (until_s is not None and now >= until_s) or self._window_closed:
                        return

    def _load_ladder(self, tier: str, device: str) -> Ladder:
        height_px, source = self.job.canvas[1], self._source
        return load_ladder(tier, device=device, colour=lambda: encoding_of(source.colour, height_px=height_px))

    @property
    def _window_closed(self) -> bool:
        return self._sinks.window is not None and self._sinks.window.closed

    def _deliver(self, item: Enhanced, outputs: contextlib.ExitStack) -> None:
        """Write one frame to every sink, and record its age."""
        frame = item.frame
        if not self._sinks.write(frame, item.routed.frame, outputs, status=self._status_text):
            return
        self.summary.frames_out += 1
        if self.job.server is None:
            self.stats.departures.tick()
        if frame.placeholder is not None or frame.arrived_s is None:
            return
        age_s = time.monotonic() - frame.arrived_s
        if self.job.server is None:
            self.stats.record_latency(age_s)
        if self._governor is not None and self._arriving is not None:
            self._governor.observe(age_s, dropped=self._arriving.dropped, repaired=item.routed.lane is Lane.ENHANCE)

    def _status_text(self) -> str:
        tier = self._ladder.name if self._ladder else "no repair"
        return f"{self.stats.departures.per_s:.0f} fps  {self.stats.latency_ms(0.5):.0f} ms  {tier}"

    def snapshot(self) -> StatsSnapshot:
        """The stream's stats at this moment."""
        source, server, summary, stats = self._source, self._sinks.server, self.summary, self.stats
        initial_state = State.CONNECTING if self.job.server else State.CONNECTED
        return StatsSnapshot(
            self.job.name,
            source=source.address.label,
            sink=self.job.server.label if self.job.server else "",
            source_state=source.state.value,
            sink_state=(server.state if server else initial_state).value,
            reason=source.reason or (server.reason if server else ""),
            tier=self._ladder.name if self._ladder else "none",
            fps_in=stats.arrivals.per_s,
            fps_out=stats.departures.per_s,
            latency_p50_ms=stats.latency_ms(0.5),
            latency_p99_ms=stats.latency_ms(0.99),
            kinds=dict(summary.frames_by_kind),
            lanes={"pass": summary.passed, "resize": summary.resized, "enhance": summary.repaired},
            drops={
                "late": self._arriving.dropped if self._arriving else 0,
                "server": server.counts.dropped if server else 0,
            },
            counts=self._counts(),
            queues={
                "arriving": self._arriving.waiting if self._arriving else 0,
                "leaving": self._leaving.waiting if self._leaving else 0,
                "server": server.waiting if server else 0,
            },
            histograms=stats.histograms(),
        )

    def _counts(self) -> dict[str, int]:
        source, server, governor = self._source.counts, self._sinks.server, self._governor
        return {
            "frames_in": self.summary.frames_in,
            "frames_out": self.summary.frames_out,
            "source_reconnects": source.reconnects,
            "source_failures": source.failures,
            "sink_reconnects": server.counts.reconnects if server else 0,
            "sink_failures": server.counts.failures if server else 0,
            "written": server.counts.written if server else 0,
            "lost_packets": source.lost_packets,
            "damaged_packets": source.damaged_packets,
            "damaged_frames": source.damaged_frames,
            "retimed": source.retimed,
            "source_changes": source.changes,
            "held": source.held,
            "slates": source.slates,
            "not_repaired": self.summary.fallback,
            "lane_switches": self.summary.lane_switches,
            "tier_steps_down": governor.steps_down if governor else 0,
            "tier_steps_up": governor.steps_up if governor else 0,
        }


def _following(dropped: Frame, following: Frame) -> Frame:
    """The frame after a dropped one, whose captions it takes over: a missing one would garble the text."""
    return replace(following, user_data=following_user_data(dropped.user_data, following.user_data))


def load_ladder(tier: str, *, device: str, colour: Callable[[], YCbCr] = YCbCr) -> Ladder:
    """Load `tier` and the tiers it may step down to on `device`.

    `colour`: says how the planes of the next frame encode colour.
    """
    first = load_executor(tier, device=device, latency=True, colour=colour)
    others = fallback_tiers(first.name)[1:]
    return Ladder([first, *(load_executor(name, device=device, latency=True) for name in others)])
