"""The deinterlacing stage: decoded pictures in, progressive ones out, at their exact times."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from math import gcd

from av.video.frame import VideoFrame

from deepclarity.stream.user_data.sharing import UserDataShares

from .analysis import Analysed, FieldAnalysis
from .bwdif import Bwdif, FieldLabel, weave_pictures
from .combs import PLAIN, SLIGHT
from .modes import DeinterlaceCounts, Deinterlaced, DeinterlaceMode, Deinterlacing, FieldOrder
from .picture import TimedPicture
from .telecine import LOOKAHEAD, FilmPlanner, Making, Output, Plan, film_step_s

_MAX_DENOMINATOR = 2**31 - 1
"""Of a time base in FFmpeg: film is not restored where such ticks cannot hold its steps."""
_NEAR = 5
"""Pictures on each side, a cycle of pulldown, that are compared if nothing says that a picture is interlaced."""
_PLAIN_NEAR = 2
"""How many of these must be plainly combed: scrolling text gives a single one now and then."""
_MAX_STEP = Fraction(3, 2)
"""Times its duration: a longer step to the next picture is a gap, and fields are timed by the duration."""


class Deinterlacer:
    """Deinterlaces the pictures that need it; the others pass unchanged.

    Holds at most `LOOKAHEAD` pictures if telecine is to be undone, otherwise a few.
    """

    def __init__(
        self, pictures: Iterator[TimedPicture], setting: Deinterlacing, *, rate: Fraction | None, time_base: Fraction
    ) -> None:
        """`pictures`: in presentation order; `rate`, `time_base`: the source's. Analyses the first pictures."""
        self.counts = DeinterlaceCounts()
        self._setting = setting
        self._per_field = setting.mode is DeinterlaceMode.FIELD
        step_s = film_step_s(rate) if setting.restores_film else None
        self._film_step_s = step_s if _common_time_base(time_base, step_s).denominator <= _MAX_DENOMINATOR else None
        self._source_time_base = time_base
        self.time_base = time_base / 2 if self._per_field else _common_time_base(time_base, self._film_step_s)
        """Seconds per tick of the results."""
        self._scale = int(time_base / self.time_base)
        self._planner = self._new_planner()
        self._lookahead = LOOKAHEAD if self._planner else _NEAR + 1
        self._analysed = FieldAnalysis(self.counts)(pictures)
        self._window: deque[Analysed] = deque()
        self._behind: deque[float] = deque(maxlen=_NEAR)
        self._bwdif: Bwdif | None = None
        self._label = FieldLabel()
        self._user_data = UserDataShares()
        self._neighbour: VideoFrame | None = None
        self._in_filter: deque[tuple[Analysed, Plan]] = deque()
        self._previous: Analysed | None = None
        self._last_pts: int | None = None
        self._window.extend(islice(self._analysed, self._lookahead))
        self.rate = self._expected_rate(rate)
        """Frames per second to expect, by the first pictures."""

    def __iter__(self) -> Iterator[TimedPicture]:
        while self._window:
            self._window.extend(islice(self._analysed, self._lookahead - len(self._window)))
            for plan in self._plans():
                picture = self._window.popleft()
                self._behind.append(picture.score)
                self._count(plan)
                yield from self._timed(self._filter(picture, plan))
        yield from self._timed(self._flush())

    def _timed(self, pictures: Iterator[TimedPicture]) -> Iterator[TimedPicture]:
        """Force times to increase, as a film frame may start before its stretch does, and measure the work."""
        while True:
            started = time.perf_counter()
            picture = next(pictures, None)
            self.counts.busy_s += time.perf_counter() - started
            if picture is None:
                return
            pts = picture.pts if self._last_pts is None else max(picture.pts, self._last_pts + 1)
            self._last_pts = pts
            yield picture if pts == picture.pts else replace(picture, pts=pts)

    def _new_planner(self) -> FilmPlanner | None:
        if self._film_step_s is None:
            return None
        return FilmPlanner(self._film_step_s, time_base=self._source_time_base, scale=self._scale)

    def _expected_rate(self, rate: Fraction | None) -> Fraction | None:
        if rate is None or not self._window:
            return rate
        planner = self._new_planner()
        if planner is not None and self._film_step_s is not None and planner.plan(list(self._window)):
            return 1 / self._film_step_s
        interlaced = self._window[0].flagged is not None or self._is_combed(0)
        return rate * 2 if self._per_field and interlaced else rate

    def _plans(self) -> list[Plan]:
        """Plans for the first pictures of the window."""
        if self._planner is not None:
            plans = self._planner.plan(list(self._window))
            if plans:
                return plans
        first, combed = self._window[0], self._is_combed(0)
        count = 2 if self._per_field and (combed or first.flagged) else 1
        if combed:
            return [Plan((Output(Making.BWDIF),) * count, first.order)]
        return [Plan((Output(Making.PASS),) * count)]

    def _is_combed(self, number: int) -> bool:
        """Whether a picture of the window is to be deinterlaced."""
        picture = self._window[number]
        if picture.flagged is not None:
            return picture.score >= SLIGHT
        after = [each.score for each in islice(self._window, number + 1, number + 1 + _NEAR)]
        plain = sum(score >= PLAIN for score in (*self._behind, *after))
        return picture.score >= SLIGHT and plain >= _PLAIN_NEAR

    def _count(self, plan: Plan) -> None:
        counts, makings = self.counts, [output.making for output in plan.outputs]
        counts.pictures += 1
        counts.deinterlaced += Making.BWDIF in makings
        if plan.film:
            counts.telecined += 1
            counts.film_frames += len(makings)
        else:
            counts.field_frames += len(makings) - 1

    # Making pictures --------------------------------------------------------------------------------------------------

    def _filter(self, picture: Analysed, plan: Plan) -> Iterator[TimedPicture]:
        """Pass a picture through bwdif, which needs its neighbours, from the first interlaced one on."""
        if self._bwdif is None and (plan.order is not None or len(plan.outputs) > 1):
            self._bwdif = Bwdif(per_field=self._per_field)
            if self._previous is not None and self._neighbour is not None:
                self._bwdif.push(self._neighbour, None)
                known = replace(self._previous, timed=replace(self._previous.timed, user_data=()))
                self._in_filter.append((known, Plan(())))
        self._in_filter.append((picture, plan))
        if self._bwdif is None:
            # a reference of its own: by the time it is needed, an encoder may be at work on the picture
            self._neighbour = self._label(picture.timed.picture, None)
            yield from self._results([])
            return
        for results in self._bwdif.push(picture.timed.picture, plan.order):
            yield from self._results(results)

    def _flush(self) -> Iterator[TimedPicture]:
        for results in self._bwdif.flush() if self._bwdif is not None else ():
            yield from self._results(results)

    def _results(self, deinterlaced: list[VideoFrame]) -> Iterator[TimedPicture]:
        """The outputs of the first picture in the filter, which made `deinterlaced` of it."""
        picture, plan = self._in_filter.popleft()
        times = self._times(picture, plan)
        pictures = iter(deinterlaced)
        user_data = self._user_data.of(picture.timed.user_data, len(times))
        for output, usual, messages in zip(plan.outputs, times, user_data, strict=True):
            pts = round(usual if output.time is None else output.time)
            made = self._made(output, picture, pictures)
            share = picture.timed.duration * self._scale // len(plan.outputs)
            yield replace(made, pts=pts, duration=output.duration or share, user_data=messages)
        self._previous = picture

    def _made(self, output: Output, picture: Analysed, deinterlaced: Iterator[VideoFrame]) -> TimedPicture:
        timed = picture.timed
        if output.making is Making.BWDIF:
            changed = replace(timed, picture=next(deinterlaced), deinterlaced=Deinterlaced.BWDIF)
            if self._setting.keep_pictures:
                return replace(changed, original=timed.picture, order=picture.flagged or picture.order)
            return changed
        if output.making is Making.WEAVE and self._previous is not None:
            before, order = self._previous.timed, picture.order
            ends = (timed, before) if order is FieldOrder.TOP else (before, timed)
            film = weave_pictures(ends[0].picture, ends[1].picture)
            return replace(timed, picture=film, intact=timed.intact and before.intact, deinterlaced=Deinterlaced.FILM)
        if picture.flagged is None:
            return timed
        if self._setting.keep_pictures:
            return replace(timed, order=picture.flagged)
        return replace(timed, picture=self._label(timed.picture, None))

    def _times(self, picture: Analysed, plan: Plan) -> list[Fraction]:
        """The times of the outputs: evenly spread until the next picture."""
        start, count = Fraction(picture.pts * self._scale), len(plan.outputs)
        if count < 2:
            return [start] * count
        step = Fraction(self._step(picture))
        return [start + number * step * self._scale / count for number in range(count)]

    def _step(self, picture: Analysed) -> int:
        """Ticks until the next picture; across a gap or at the end, the picture's own duration."""
        duration = picture.timed.duration
        following = self._in_filter[0][0].pts if self._in_filter else None
        before = picture.pts - self._previous.pts if self._previous is not None else 0
        usual = duration or before
        step = following - picture.pts if following is not None else usual
        return usual if usual and step > usual * _MAX_STEP else step


def _common_time_base(time_base: Fraction, step_s: Fraction | None) -> Fraction:
    """The coarsest time base in which both the source's ticks and film frames are integers."""
    if step_s is None:
        return time_base
    common = gcd(time_base.numerator * step_s.denominator, step_s.numerator * time_base.denominator)
    return Fraction(common, time_base.denominator * step_s.denominator)
