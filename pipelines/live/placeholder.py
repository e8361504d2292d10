"""Placeholder frames: repeats the last enhanced frame while the source delivers nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from deepclarity.pipelines.enhance import Enhanced
from deepclarity.stream.frame import Placeholder


def fill_placeholders(enhanced: Iterable[Enhanced]) -> Iterator[Enhanced]:
    """Replace each held frame with the last real frame in its enhanced form; pass all others on unchanged."""
    last: Enhanced | None = None
    for item in enhanced:
        frame = item.frame
        if frame.placeholder is Placeholder.HELD and last is not None:
            repeated = replace(
                last.frame,
                pts=frame.pts,
                index=frame.index,
                placeholder=frame.placeholder,
                arrived_s=frame.arrived_s,
                user_data=frame.user_data,
            )
            yield replace(item, frame=repeated)
            continue
        if frame.placeholder is None:
            last = item
        yield item
