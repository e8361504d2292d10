"""Which lane does each frame take?

A Schmitt trigger: on above one score, off below a lower one, nothing between. A switch is confirmed by the
frames that follow it, so that one odd frame does not turn the picture over, and is made at the frame where the
evidence begins. Once repairing has ended, it rests for a while before it may begin again, except at a scene cut. It
may end at any time: to go on repairing clean pictures would do harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from deepclarity.models.verdict import Blocks
from deepclarity.stream.frame import Frame

from .detect import Scored
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
    hold_s: float = 0.5
    """Repairing begins no sooner than that after a switch."""
    confirm_frames: int = 2
    """Frames that must agree with a switch before it is made; that many are looked ahead."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A frame, its verdict, and the lane it takes."""

    scored: Scored
    lane: Lane
    blocks: Blocks | None = None
    """What is undone before the network."""

    @property
    def frame(self) -> Frame:
        """The frame itself."""
        return self.scored.frame


def route(
    scored: Iterable[Scored], routing: Routing, *, resize: bool, enlarge: bool, summary: Summary
) -> Iterator[Routed]:
    """Send every frame down a lane. `resize`: clean frames are not of the output's size; `enlarge`: smaller."""
    trigger = Trigger(routing)
    clean = Lane.RESIZE if resize else Lane.PASS
    for now, ahead in _looking_ahead(scored, routing.confirm_frames):
        blocks = None
        if now.cut:
            trigger.forget_lattice()
        if not now.frame.whole or now.frame.placeholder is not None:
            repair = False  # nothing to go by, and nothing to be made up
        elif routing.which is Which.ALL:
            repair = True
            blocks = trigger.lattice(now) if now.verdict.pixelated else None
        elif routing.which is Which.PIXELATED and trigger.decide(now, ahead):
            repair = True
            blocks = trigger.lattice(now)
        else:
            repair = False
        lane = Lane.ENHANCE if repair and (enlarge or blocks) else clean
        summary.lane_switches = trigger.switches
        yield Routed(now, lane, blocks)


def _looking_ahead(scored: Iterable[Scored], count: int) -> Iterator[tuple[Scored, list[Scored]]]:
    """Each frame with up to `count` that follow it."""
    waiting: deque[Scored] = deque()
    failure: Exception | None = None
    try:
        for item in scored:
            waiting.append(item)
            if len(waiting) > count:
                yield waiting.popleft(), list(waiting)
    except Exception as error:  # goes on behind the frames that came before it
        failure = error
    while waiting:
        yield waiting.popleft(), list(waiting)
    if failure is not None:
        raise failure


class Trigger:
    """Decides frame by frame whether to repair."""

    def __init__(self, routing: Routing) -> None:
        self._routing = routing
        self._since: Fraction | None = None
        self.repairing = False
        self.switches = 0
        self._lattice: Blocks | None = None

    def decide(self, now: Scored, ahead: list[Scored]) -> bool:
        """Whether to repair this frame, knowing the next ones."""
        wanted = self._wants(now)
        if wanted != self.repairing and self._confirmed(wanted, ahead) and self._may_switch(now):
            self._switch(now)
        return self.repairing

    def forget_lattice(self) -> None:
        """A new scene: what the last one's blocks were like tells nothing of this one's."""
        self._lattice = None

    def lattice(self, now: Scored) -> Blocks | None:
        """The blocks to undo: this frame's, or the scene's where it shows none or almost the same."""
        seen = now.verdict.blocks if now.verdict.pixelated else None
        if seen is not None and (self._lattice is None or not _alike(seen, self._lattice)):
            self._lattice = seen
        return self._lattice

    def _wants(self, scored: Scored) -> bool:
        """What this frame asks for: between the two scores, what is being done anyway."""
        score = scored.verdict.score
        if self.repairing:
            return score >= self._routing.off
        return scored.verdict.pixelated and score >= self._routing.on

    def _confirmed(self, wanted: bool, ahead: list[Scored]) -> bool:
        """Whether the next frames of the same scene agree; at the end of a scene there are none to ask."""
        for scored in ahead:
            if scored.cut:
                return True
            if self._wants(scored) != wanted:
                return False
        return True

    def _may_switch(self, now: Scored) -> bool:
        if self.repairing or self._since is None or now.cut:
            return True
        rested = now.frame.pts * now.frame.time_base - self._since
        return rested >= self._routing.hold_s

    def _switch(self, now: Scored) -> None:
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
