"""What the viewers see when nothing comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from deepclarity.pipelines.enhance import Done
from deepclarity.stream.frame import Placeholder


def stood_in(done: Iterable[Done]) -> Iterator[Done]:
    """Pass frames on; one that is only held becomes the last real one as it left: repaired, if that was."""
    last: Done | None = None
    for item in done:
        frame = item.frame
        if frame.placeholder is Placeholder.HELD and last is not None:
            shown = replace(
                last.frame, pts=frame.pts, index=frame.index, placeholder=frame.placeholder, arrived_s=frame.arrived_s
            )
            yield replace(item, frame=shown)
            continue
        if frame.placeholder is None:
            last = item
        yield item
