"""Resume: finds the partial output of an interrupted run, checks its resume token, and reuses its packets.

The encoder is closed and reopened at regular intervals, so the packets up to the last restart are exactly those that
an uninterrupted run would have written. They are copied; their frames are neither repaired nor encoded again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer

from deepclarity.errors import UsageError
from deepclarity.stream.packets import AnyPacket

_ANNEX_B_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""Containers prefix each NAL unit with its length; muxers expect start codes (Annex B), as encoders write them."""

ResumeToken = Mapping[str, str]
"""The input and every setting: equal for two runs only if both write the same packets."""


class PartialOutput:
    """The usable part of an interrupted run's output: its first `frames` frames, as packets in decoding order."""

    def __init__(self, path: Path, frames: int) -> None:
        self.path = path
        self.frames = frames

    def packets(self) -> Generator[AnyPacket, None, None]:
        """Yield exactly `frames` packets, in the byte format that encoders write."""
        with av.open(str(self.path.absolute())) as container:
            stream = container.streams.video[0]
            name = _ANNEX_B_FILTERS.get(stream.codec_context.name)
            bitstream_filter = BitStreamFilterContext(name, stream) if name else None
            for packet in itertools.islice(_video_packets(container), self.frames):
                yield from bitstream_filter.filter(packet) if bitstream_filter else [packet]


def save_resume_token(partial: Path, resume_token: ResumeToken) -> None:
    """Write the resume token beside `partial`."""
    _token_path(partial).write_text(json.dumps(dict(resume_token), indent=1), encoding="utf-8")


def remove_resume_files(partial: Path) -> None:
    """Remove the files that only serve to resume `partial`, after a complete run."""
    for path in (_token_path(partial), _previous_path(partial)):
        path.unlink(missing_ok=True)


def remove_stale_token(partial: Path) -> None:
    """Remove the resume token if there is no partial output that belongs to it."""
    if not partial.exists() and not _previous_path(partial).exists():
        _token_path(partial).unlink(missing_ok=True)


def companion_files(partial: Path) -> tuple[Path, ...]:
    """Paths that a run may write beside `partial`: the token, the previous partial output, the faststart file."""
    return _token_path(partial), _previous_path(partial), faststart_path(partial)


def faststart_path(partial: Path) -> Path:
    """Temporary path of the faststart copy of `partial`: `film.partial.mp4` → `film.partial.faststart.mp4`."""
    return partial.with_name(f"{partial.stem}.faststart{partial.suffix}")


def has_resume_token(partial: Path) -> bool:
    """Whether `partial` was left by an interrupted run: whether there is a resume token beside it."""
    return _token_path(partial).exists()


def find_partial_output(partial: Path, resume_token: ResumeToken, *, restart_every: int) -> PartialOutput | None:
    """The partial output of an interrupted run, renamed so that `partial` can be rewritten; None if there is none.

    `restart_every`: frames between encoder restarts. Raises UsageError if it was made from another input or with other
    settings.
    """
    previous = _previous_path(partial)
    saved = _read_token(partial)
    if saved is not None:
        changed = sorted(key for key in {*saved, *resume_token} if saved.get(key) != resume_token.get(key))
        if changed:
            raise UsageError(
                f"{partial}: was made with another {', '.join(changed)}; it cannot be resumed. "
                f"Use the same command, or omit --resume to start again."
            )
        frames = {path: _resumable_frames(path, restart_every) for path in (partial, previous)}
        best = max(frames, key=lambda path: frames[path])
        if frames[best]:
            if best == partial:
                partial.replace(previous)
            return PartialOutput(previous, frames[best])
    return None


def _read_token(partial: Path) -> dict[str, str] | None:
    """The resume token beside `partial`; None if it is missing or invalid."""
    try:
        token = json.loads(_token_path(partial).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return token if isinstance(token, dict) else None


def restore_partial(partial: Path) -> None:
    """Undo the renaming in `find_partial_output`, after a run that got no further than the previous one."""
    with contextlib.suppress(FileNotFoundError):
        _previous_path(partial).replace(partial)


def _resumable_frames(path: Path, restart_every: int) -> int:
    """Number of frames in `path` up to the last encoder restart."""
    if not path.exists():
        return 0
    count = 0
    try:
        with av.open(str(path.absolute())) as container:
            for _ in _video_packets(container):
                count += 1
    except (av.error.FFmpegError, IndexError):  # truncated file: the packets read so far count
        pass
    return count // restart_every * restart_every


def _video_packets(container: InputContainer) -> Iterator[AnyPacket]:
    index = container.streams.video[0].index
    return (packet for packet in container.demux(container.streams[index]) if packet.size)


def _token_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _previous_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.stem}.resumed{partial.suffix}")
