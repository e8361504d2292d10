"""Which lane does each frame take?

A Schmitt trigger: on above one score, off below a lower one, nothing between. A switch is confirmed by the
frames that follow it, so that one odd frame does not turn the picture over, and is made at the frame where the
evidence begins. After a switch the lane rests for a while, except at a scene cut; but a frame that is surely clean
is never repaired, whatever the rest says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from deepclarity.models.verdict import Blocks
from deepclarity.stream.frame import Frame

from .detect import Judged
from .records import Lane, Summary


class Which(StrEnum):
    """Which frames are repaired."""

    PIXELATED = "pixelated"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Routing:
    """When the lane is switched."""

    which: Which = Which.PIXELATED
    on: float = 0.6
    """Score from which a frame is repaired."""
    off: float = 0.4
    """Score below which repairing ends."""
    surely_clean: float = 0.15
    """Score below which a frame is not repaired even while the lane rests."""
    hold_s: float = 0.5
    """The lane rests that long after a switch."""
    confirm_frames: int = 2
    """Frames that must agree with a switch before it is made; that many are looked ahead."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A frame, its verdict, and the lane it takes."""

    judged: Judged
    lane: Lane
    blocks: Blocks | None = None
    """What is undone before the network."""

    @property
    def frame(self) -> Frame:
        """The frame itself."""
        return self.judged.frame


def route(judged: Iterable[Judged], routing: Routing, *, resize: bool, summary: Summary) -> Iterator[Routed]:
    """Send every frame down a lane. `resize`: clean frames are not of the output's size."""
    trigger = Trigger(routing)
    clean = Lane.RESIZE if resize else Lane.PASS
    for now, ahead in _looking_ahead(judged, routing.confirm_frames):
        blocks = None
        if routing.which is Which.ALL:
            repair = True
            blocks = trigger.lattice(now) if now.verdict.pixelated else None
        elif routing.which is Which.PIXELATED and trigger.decide(now, ahead):
            repair = True
            blocks = trigger.lattice(now)
        else:
            repair = False
        lane = Lane.ENHANCE if repair and (resize or blocks) else clean
        summary.lane_switches = trigger.switches
        yield Routed(now, lane, blocks)


def _looking_ahead(judged: Iterable[Judged], count: int) -> Iterator[tuple[Judged, list[Judged]]]:
    """Each frame with up to `count` that follow it."""
    waiting: deque[Judged] = deque()
    for item in judged:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft(), list(waiting)
    while waiting:
        yield waiting.popleft(), list(waiting)


class Trigger:
    """Decides frame by frame whether to repair."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing
        self._since: Fraction | None = None
        self.repairing = False
        self.switches = 0
        self._lattice: Blocks | None = None

    def decide(self, now: Judged, ahead: list[Judged]) -> bool:
        """Whether to repair this frame, knowing the next ones."""
        wanted = self._wants(now)
        if wanted != self.repairing and self._confirmed(wanted, ahead) and (now.cut or self._may_switch(now)):
            self._switch(now)
        if self.repairing and now.verdict.score < self._routing.surely_clean:
            return False  # the rest must not repaint a clean frame
        return self.repairing

    def lattice(self, now: Judged) -> Blocks | None:
        """The blocks to undo: this frame's, or the scene's where it shows none or almost the same."""
        if now.cut:
            self._lattice = None
        seen = now.verdict.blocks
        if seen is not None and (self._lattice is None or not _alike(seen, self._lattice)):
            self._lattice = seen
        return self._lattice

    def _wants(self, judged: Judged) -> bool:
        """What this frame asks for: between the two scores, what is being done anyway."""
        score = judged.verdict.score
        if self.repairing:
            return score >= self._routing.off
        return judged.verdict.pixelated and score >= self._routing.on

    def _confirmed(self, wanted: bool, ahead: list[Judged]) -> bool:
        """Whether the next frames of the same scene agree; at the end of a scene there are none to ask."""
        for judged in ahead:
            if judged.cut:
                return True
            if self._wants(judged) != wanted:
                return False
        return True

    def _may_switch(self, now: Judged) -> bool:
        if self._since is None:
            return True
        rested = now.frame.pts * now.frame.time_base - self._since
        return rested >= self._routing.hold_s

    def _switch(self, now: Judged) -> None:
        self.repairing = not self.repairing
        self.switches += 1
        self._since = now.frame.pts * now.frame.time_base


def _alike(one: Blocks, other: Blocks) -> bool:
    """Within measuring error: switching between the two would only make the picture tremble."""
    return (
        abs(one.width_px - other.width_px) <= 0.002 * other.width_px
        and abs(one.height_px - other.height_px) <= 0.002 * other.height_px
        and abs(one.phase_x_px - other.phase_x_px) <= 0.25
        and abs(one.phase_y_px - other.phase_y_px) <= 0.25
    )
