"""The corridor for viewers who watch now: what is late gives way, what is lost is stood in for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from deepclarity.errors import OutputError
from deepclarity.models.detectors import load_detector
from deepclarity.models.load import load_enhancer
from deepclarity.models.verdict import Detector
from deepclarity.pipelines.detect import detect
from deepclarity.pipelines.enhance import Done, enhance
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.records import Lane
from deepclarity.pipelines.route import Which, route
from deepclarity.stream.frame import Frame
from deepclarity.stream.handover import Handover
from deepclarity.stream.interrupts import interrupts_deferred
from deepclarity.stream.live.source import LiveSource, give_up
from deepclarity.stream.live.state import State

from .governor import Governor, Ladder, Rule, rungs
from .placeholder import stood_in
from .sinks import LiveJob, LiveSinks
from .stats import LiveStats, Reading, Tally

Watcher = Callable[[Reading], None]
"""Called a few times a second with how the stream is doing."""

_TELL_EVERY_S = 0.25


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
        self.stats = LiveStats()
        self.tally = Tally(self.stats)
        preset = job.preset
        self._source = LiveSource(job.source, canvas=job.canvas, waiting=job.waiting, sound=job.sound, loop=job.loop)
        self._sinks = LiveSinks(job, self._source, self.stats)
        works = preset.which is not Which.NONE
        self._detector = detector or (load_detector(preset.method, pixel_art=preset.pixel_art) if works else None)
        self._ladder = ladder or (load_ladder(preset.model, device=preset.device) if works else None)
        rule = Rule(target_s=preset.latency_ms / 1000)
        self._governor = Governor(self._ladder, rule) if self._ladder else None
        self._watch = watch
        self._stack = contextlib.ExitStack()
        self._arriving: Handover[Frame] | None = None
        self._leaving: Handover[Done] | None = None

    def __enter__(self) -> Live:
        with contextlib.ExitStack() as opened:  # closes what is open if the next thing fails
            if self._ladder is not None:
                opened.enter_context(contextlib.closing(self._ladder))
            self._sinks.open_window(opened)
            opened.enter_context(self._source)
            self._stack = opened.pop_all()
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
                self._run_pipeline(outputs)
            except Exception:
                raise
            except BaseException as interruption:
                stopped = interruption
            with interrupts_deferred():  # a second Ctrl-C must not cost what the first one saves
                outputs.close()
        if stopped is not None:
            raise stopped
        if not self._source.met and not self._closed_by_hand:
            raise give_up(self._source)
        server = self._sinks.server
        if server is not None and not server.counts.connections:
            raise OutputError(f"{server.address.label}: {server.reason}; not one picture was published.")
        return self.reading()

    def _run_pipeline(self, outputs: contextlib.ExitStack) -> None:
        """Source, detect, route, enhance, outlets; the newest frame first, the oldest dropped."""
        job, preset = self.job, self.job.preset
        fit = Fit(job.canvas, job.canvas, source=(0, 0))  # of no frame's size: every frame is fitted by its own
        until_s = time.monotonic() + job.seconds if job.seconds is not None else None
        told_s = 0.0
        coming = self.tally.counted(self._source)
        with Handover(coming, size=preset.source_buffer_frames, when_full=self._source.when_full) as arriving:
            self._arriving = arriving
            scored = detect(arriving, self._detector, self.tally)
            routed = route(scored, preset.routing, resize=False, enlarge=True, summary=self.tally)
            done = stood_in(enhance(routed, self._ladder, fit, self.tally))
            with Handover(done, size=preset.sink_buffer_frames) as leaving, contextlib.closing(self._source):
                self._leaving = leaving
                for item in leaving:
                    self._deliver(item, outputs)
                    if (now := time.monotonic()) - told_s >= _TELL_EVERY_S:
                        told_s = now
                        self._watch(self.reading())
                    if (until_s is not None and now >= until_s) or self._closed_by_hand:
                        return

    @property
    def _closed_by_hand(self) -> bool:
        return self._sinks.window is not None and self._sinks.window.closed

    def _deliver(self, item: Done, outputs: contextlib.ExitStack) -> None:
        """Give one frame to everything that wants it, and see how old it was."""
        frame = item.frame
        if not self._sinks.write(frame, item.routed.frame, outputs, told=self._told):
            return
        self.tally.frames_out += 1
        if self.job.server is None:
            self.stats.left.tick()
        if frame.placeholder is not None or frame.arrived_s is None:
            return
        age_s = time.monotonic() - frame.arrived_s
        if self.job.server is None:
            self.stats.leaves(age_s)
        if self._governor is not None and self._arriving is not None:
            self._governor.saw(age_s, dropped=self._arriving.dropped, repaired=item.routed.lane is Lane.ENHANCE)

    def _told(self) -> str:
        tier = self._ladder.name if self._ladder else "no repair"
        return f"{self.stats.left.per_s:.0f} fps  {self.stats.latency_ms(0.5):.0f} ms  {tier}"

    def reading(self) -> Reading:
        """How it is doing now."""
        source, server, tally, stats = self._source, self._sinks.server, self.tally, self.stats
        waiting = State.CONNECTING if self.job.server else State.CONNECTED
        return Reading(
            self.job.name,
            source=source.address.label,
            sink=self.job.server.label if self.job.server else "",
            source_state=source.state.value,
            sink_state=(server.state if server else waiting).value,
            reason=source.reason or (server.reason if server else ""),
            tier=self._ladder.name if self._ladder else "none",
            fps_in=stats.came.per_s,
            fps_out=stats.left.per_s,
            latency_p50_ms=stats.latency_ms(0.5),
            latency_p99_ms=stats.latency_ms(0.99),
            lanes={"pass": tally.passed, "resize": tally.resized, "enhance": tally.repaired},
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
            "frames_in": self.tally.frames_in,
            "frames_out": self.tally.frames_out,
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
            "not_repaired": self.tally.fallback,
            "lane_switches": self.tally.lane_switches,
            "tier_steps_down": governor.steps_down if governor else 0,
            "tier_steps_up": governor.steps_up if governor else 0,
        }


def load_ladder(tier: str, *, device: str) -> Ladder:
    """`tier` and what it may step down to, loaded on `device`."""
    first = load_enhancer(tier, device=device)
    return Ladder([first, *(load_enhancer(name, device=device) for name in rungs(first.name)[1:])])
