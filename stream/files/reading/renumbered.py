"""Transport streams in which the tracks go on under other numbers (PIDs), as after a change of programme.

FFmpeg takes those for further tracks: half of the film would be missing from each. It can merge them, by their place
in the programme's table, without a look at what they hold; so that is done only where both are plainly alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from .late_tracks import is_complete, picture_size

_MERGE = {"merge_pmt_versions": "1"}


def merged(container: InputContainer, opened: Callable[[Mapping[str, str]], InputContainer]) -> InputContainer:
    """`container`, or the same file with its renumbered tracks merged, `container` then closed.

    `opened`: opens the file with further options of FFmpeg.
    """
    if container.format.name != "mpegts" or len(container.streams.video) < 2:
        return container
    candidate = opened(_MERGE)
    if _is_merger(container, candidate):
        container.close()
        return candidate
    candidate.close()
    return container


def _is_merger(separate: InputContainer, together: InputContainer) -> bool:
    """Whether `together` lacks tracks only, and none that is not like one that it has."""
    before, after = list(separate.streams), list(together.streams)
    if len(after) >= len(before) or any(map(_differ, before, after)):
        return False
    return all(any(not _differ(lacking, kept) for kept in after) for lacking in before[len(after) :])


def _differ(one: Stream, other: Stream) -> bool:
    """Whether what is known of two tracks differs; of late ones that is little."""
    if isinstance(one, VideoStream) and isinstance(other, VideoStream):
        known = is_complete(one) and is_complete(other)
        return _codec(one) != _codec(other) or (known and picture_size(one) != picture_size(other))
    return one.type != other.type or (is_complete(one) and is_complete(other) and _codec(one) != _codec(other))


def _codec(stream: Stream) -> str:
    return stream.codec_context.name if stream.codec_context is not None else ""
