"""Resume: finds the partial output of an interrupted run, checks its token, and reuses its packets.

The encoder is closed and reopened every so many frames, so the packets up to the last such cut are exactly what an
uninterrupted run would have written. They are copied; the frames behind them are not repaired or encoded again.
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

_AS_ENCODED = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""Containers prefix each unit with its length; muxers want start codes, as encoders write them."""

ResumeToken = Mapping[str, str]
"""What must be equal for two runs to write the same packets: the input and every setting."""


class PartialOutput:
    """The finished part of an interrupted run: its first `frames` frames, as packets in decoding order."""

    def __init__(self, path: Path, frames: int) -> None:
        self.path = path
        self.frames = frames

    def packets(self) -> Generator[AnyPacket, None, None]:
        """Exactly `frames` packets, in the form that encoders give them."""
        with av.open(str(self.path.absolute())) as container:
            stream = container.streams.video[0]
            name = _AS_ENCODED.get(stream.codec_context.name)
            undo = BitStreamFilterContext(name, stream) if name else None
            for packet in itertools.islice(_video_packets(container), self.frames):
                yield from undo.filter(packet) if undo else [packet]


def save_resume_token(partial: Path, resume_token: ResumeToken) -> None:
    """Leave beside `partial` what is needed to resume it."""
    _token_path(partial).write_text(json.dumps(dict(resume_token), indent=1), encoding="utf-8")


def forget(partial: Path) -> None:
    """The run is complete: remove what was only there to resume it."""
    for leftover in (_token_path(partial), _set_aside(partial)):
        leftover.unlink(missing_ok=True)


def forget_unless_kept(partial: Path) -> None:
    """Remove the resume token of a run that left nothing to resume."""
    if not partial.exists() and not _set_aside(partial).exists():
        _token_path(partial).unlink(missing_ok=True)


def files_beside(partial: Path) -> tuple[Path, ...]:
    """The names that an incomplete run uses beside `partial` itself."""
    return _token_path(partial), _set_aside(partial), partial.with_name(f"{partial.stem}.complete{partial.suffix}")


def is_ours(partial: Path) -> bool:
    """Whether an interrupted run left `partial`: a resume token stands beside it."""
    return _token_path(partial).exists()


def find_partial_output(partial: Path, resume_token: ResumeToken, *, restart_every: int) -> PartialOutput | None:
    """What an interrupted run left at `partial`, set aside for reading; None where there is nothing to go on from.

    Raises UsageError where it was made from another input or with other settings.
    """
    aside = _set_aside(partial)
    known = _known_token(partial)
    if known is not None:
        changed = sorted(key for key in {*known, *resume_token} if known.get(key) != resume_token.get(key))
        if changed:
            raise UsageError(
                f"{partial}: was made with another {', '.join(changed)}; it cannot be resumed. "
                f"Use the same command, or leave --resume out to begin again."
            )
        frames = {path: _complete_chunks(path, restart_every) for path in (partial, aside)}
        best = max(frames, key=lambda path: frames[path])
        if frames[best]:
            if best == partial:
                partial.replace(aside)
            return PartialOutput(aside, frames[best])
    return None


def _known_token(partial: Path) -> dict[str, str] | None:
    """What the interrupted run left word of; None where that is missing or spoilt."""
    try:
        known = json.loads(_token_path(partial).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) else None


def put_back(partial: Path) -> None:
    """Give a part that was set aside its name back: the new run did not get as far as the old one."""
    with contextlib.suppress(FileNotFoundError):
        _set_aside(partial).replace(partial)


def _complete_chunks(path: Path, restart_every: int) -> int:
    """Frames up to the last cut between encoders that `path` holds."""
    if not path.exists():
        return 0
    count = 0
    try:
        with av.open(str(path.absolute())) as container:
            for _ in _video_packets(container):
                count += 1
    except (av.error.FFmpegError, IndexError):  # cut off in the middle: what was read before counts
        pass
    return count // restart_every * restart_every


def _video_packets(container: InputContainer) -> Iterator[AnyPacket]:
    index = container.streams.video[0].index
    return (packet for packet in container.demux(container.streams[index]) if packet.size)


def _token_path(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _set_aside(partial: Path) -> Path:
    return partial.with_name(f"{partial.stem}.resumed{partial.suffix}")
