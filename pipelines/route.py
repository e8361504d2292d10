"""Routing stage: decides for each frame whether to pass, resize or repair it.

A Schmitt trigger: repair switches on at one score, off below a lower one, and keeps its state in between. A switch
must be confirmed by the frames that follow it, so that a single outlier has no effect, and takes effect at the frame
where the evidence begins. After repair has stopped, it restarts only after a hold time, except at a scene cut. It may
stop at any time: repairing clean frames would do harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from deepclarity.errors import UsageError, did_you_mean
from deepclarity.models.verdict import Blocks, Kind, Verdict
from deepclarity.stream.frame import Frame

from .detect import Scored, nearly_equal
from .records import Lane, Summary

REPAIRABLE = (Kind.PIXELATED, Kind.BLOCKY, Kind.SOFT)
"""The kinds that can be chosen for repair, those that take precedence first."""

_BLOCKY_ON = 0.5
"""Severity at and above which a scene becomes blocky. It differs by frame type, so this is no more than the threshold
of a single frame."""


def parse_repair(text: str, *, where: str = "--repair") -> frozenset[Kind]:
    """`pixelated,blocky` to kinds; UsageError, which names `where`, for any other word and for no kind at all."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in REPAIRABLE:
            raise UsageError(f"{where} '{name}': {did_you_mean(name, REPAIRABLE)}")
    if not names:
        raise UsageError(
            f"{where}: no kind named. Choose from {', '.join(REPAIRABLE)}, or use --none to repair nothing."
        )
    return frozenset(Kind(name) for name in names)


class FrameSelection(StrEnum):
    """Which frames to repair."""

    PIXELATED = "pixelated"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Routing:
    """When repair switches on and off."""

    which: FrameSelection = FrameSelection.PIXELATED
    on: float = 0.6
    """Score at and above which repair switches on."""
    off: float = 0.4
    """Score below which repair switches off."""
    hold_s: float = 0.5
    """Minimum time from a switch until repair switches on again."""
    confirm_frames: int = 2
    """Number of following frames that must agree with a switch; also the length of the look-ahead."""
    repair: frozenset[Kind] = frozenset({Kind.PIXELATED, Kind.BLOCKY})
    """The kinds to repair, of `REPAIRABLE`."""


@dataclass(frozen=True, slots=True)
class Routed:
    """A scored frame and the lane it takes."""

    scored: Scored
    lane: Lane
    blocks: Blocks | None = None
    """Blocks to average before the network; None: none."""
    always: bool = False
    """Whether the frame is to be enhanced even if its blocks are not borne out."""
    everywhere: bool = False
    """Whether the repair applies to the entire frame without a test of its blocks: a smooth enlargement has none."""
    reduce: bool = False
    """Whether coding artifacts are to be reduced, at the frame's own size."""
    reduced: Frame | None = None
    """The frame after that."""
    kind: Kind = Kind.CLEAN
    """The steady kind: the verdict's own may change from frame to frame, this one switches as the lanes do."""

    @property
    def frame(self) -> Frame:
        """The frame."""
        return self.scored.frame


def route(
    scored: Iterable[Scored], routing: Routing, *, resize: bool, enlarge: bool, summary: Summary
) -> Iterator[Routed]:
    """Choose a lane for every frame, in order.

    `resize`: clean frames must be resized to the output size; `enlarge`: the output is larger than the source. An
    error in `scored` is raised after the frames that precede it.
    """
    trigger, blocky, soft = (Trigger(routing, kind) for kind in REPAIRABLE)
    by_kind = routing.which is FrameSelection.PIXELATED
    local = by_kind and Kind.PIXELATED in routing.repair
    clean = Lane.RESIZE if resize else Lane.PASS
    for current, upcoming in _with_look_ahead(scored, routing.confirm_frames):
        blocks, everywhere, reduce = None, False, False
        if current.cut:
            trigger.reset_lattice()
            soft.reset_lattice()
        if not current.frame.intact or current.frame.placeholder is not None:
            repair, kind = False, current.verdict.kind  # no evidence, and no real picture to repair
        else:
            states = [each.decide(current, upcoming) for each in (trigger, blocky, soft)]
            kind = next(
                (kind for kind, state in zip(REPAIRABLE, states, strict=True) if state), _other_kind(current.verdict)
            )
            if routing.which is FrameSelection.ALL:
                repair = True
                blocks = trigger.lattice(current) if current.verdict.pixelated else None
            elif by_kind and kind is Kind.BLOCKY and Kind.BLOCKY in routing.repair:
                repair, reduce = False, True
            elif by_kind and kind is Kind.SOFT and Kind.SOFT in routing.repair:
                repair = everywhere = True
                blocks = soft.lattice(current)
            else:
                repair = local and trigger.repairing
                blocks = trigger.lattice(current) if repair else None
        lane = Lane.ENHANCE if repair and (enlarge or blocks) else clean
        summary.lane_switches = trigger.switches if local else 0
        summary.count_kind(kind)
        always = routing.which is FrameSelection.ALL and enlarge
        yield Routed(current, lane, blocks, always=always, everywhere=everywhere, reduce=reduce, kind=kind)


def _blockiness(verdict: Verdict) -> float:
    """The severity; without one, the picture's own evidence decides."""
    if verdict.severity is not None:
        return verdict.severity
    return 1.0 if verdict.kind is Kind.BLOCKY else 0.0


def _other_kind(verdict: Verdict) -> Kind:
    """The verdict's kind if no trigger decides on it."""
    return Kind.CLEAN if verdict.kind in REPAIRABLE else verdict.kind


def _with_look_ahead(scored: Iterable[Scored], count: int) -> Iterator[tuple[Scored, list[Scored]]]:
    """Yield each frame with up to `count` frames that follow it."""
    waiting: deque[Scored] = deque()
    failure: Exception | None = None
    try:
        for item in scored:
            waiting.append(item)
            if len(waiting) > count:
                yield waiting.popleft(), list(waiting)
    except Exception as error:  # raised after the frames that precede it
        failure = error
    while waiting:
        yield waiting.popleft(), list(waiting)
    if failure is not None:
        raise failure


class Trigger:
    """Decides frame by frame whether to repair a kind: a Schmitt trigger with confirmation and hold time."""

    def __init__(self, routing: Routing, kind: Kind = Kind.PIXELATED) -> None:
        """`kind`: `PIXELATED`, decided by the score, `BLOCKY`, decided by the severity, or `SOFT`."""
        self._routing = routing
        self._kind = kind
        self._switched_s: Fraction | None = None
        self.repairing = False
        self.switches = 0
        self._lattice: Blocks | None = None

    def decide(self, current: Scored, upcoming: list[Scored]) -> bool:
        """Whether to repair the current frame, given the upcoming ones."""
        repair = self._calls_for_repair(current)
        if repair != self.repairing and self._confirmed(repair, upcoming) and self._may_switch(current):
            self._switch(current)
        return self.repairing

    def reset_lattice(self) -> None:
        """Forget the lattice at a scene cut: the blocks of the new scene may differ."""
        self._lattice = None

    def lattice(self, current: Scored) -> Blocks | None:
        """The cells to average: this frame's, or the scene's if it has none or almost the same."""
        verdict = current.verdict
        if self._kind is Kind.SOFT:
            blocks = Blocks(*verdict.factors) if verdict.factors else None
        else:
            blocks = verdict.blocks if verdict.pixelated else None
        if blocks is not None and (self._lattice is None or not nearly_equal(blocks, self._lattice)):
            self._lattice = blocks
        return self._lattice

    def _calls_for_repair(self, scored: Scored) -> bool:
        """Whether this frame alone calls for repair; between the two scores, the current state."""
        verdict = scored.verdict
        if self._kind is Kind.BLOCKY:
            return _blockiness(verdict) >= (self._routing.off if self.repairing else _BLOCKY_ON)
        if self._kind is Kind.SOFT:
            return verdict.kind is Kind.SOFT
        if self.repairing:
            return verdict.score >= self._routing.off
        return verdict.pixelated and verdict.score >= self._routing.on

    def _confirmed(self, repair: bool, upcoming: list[Scored]) -> bool:
        """Whether the upcoming frames of the same scene agree; a switch right before a cut needs no confirmation."""
        for scored in upcoming:
            if scored.cut:
                return True
            if self._calls_for_repair(scored) != repair:
                return False
        return True

    def _may_switch(self, current: Scored) -> bool:
        if self.repairing or self._switched_s is None or current.cut:
            return True
        elapsed_s = current.frame.pts * current.frame.time_base - self._switched_s
        return elapsed_s >= self._routing.hold_s

    def _switch(self, current: Scored) -> None:
        self.repairing = not self.repairing
        self.switches += 1
        self._switched_s = current.frame.pts * current.frame.time_base
