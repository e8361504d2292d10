"""Child process that reads a live source: demuxes it with FFmpeg and sends the packets to the parent.

Run as `python -m deepclarity.stream.rtsp.reader_process`. It receives `{"kind": "open", …}` on standard input. If a
read takes longer than `watchdog_s`, the kernel terminates the process (the parent should do so long before). It answers
`opened` (with the streams' parameters as a NUT file), then one `packet` message per packet, and finally `failed` or
`ended`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream.packets import AnyPacket

from . import ipc
from .adts import audio_specific_config, strip_adts_header
from .failure import SourceFailure
from .gateway.gateway import Gateway
from .pacing import READ_AHEAD_S, paced
from .subprocess import arm_watchdog, ignore_signals

_UNCOMPRESSED_CODEC = "wrapped_avframe"
"""Codec of devices that deliver uncompressed pictures."""
_MISSED_PACKETS = re.compile(rb"RTP: missed (-?\d+) packets")
_SEGMENTED_FORMATS = ("hls", "dash")
"""Formats that deliver several seconds at once."""
_MAX_CONSECUTIVE_ERRORS = 100
"""After this many consecutive read errors, the source counts as failed."""

_NOTICE_LOSSES = {"reorder_queue_size": "2"}
"""FFmpeg notices missing packets only with a queue; they arrive in order, so that a short one suffices."""
_PLAUSIBLE_RATES = (Fraction(1, 2), Fraction(1000))

_REASONS = {
    errno.ENOENT: "there is no such device or path",
    errno.ENODEV: "there is no such device",
    errno.ENXIO: "there is no such device",
    errno.EBUSY: "another program is using it",
    errno.EACCES: "no permission to use it",
    errno.EPERM: "no permission to use it",
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ETIMEDOUT: "no answer in time",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
}


def main() -> None:
    """Read until the source or the parent ends."""
    ignore_signals()
    request = ipc.Inbox(sys.stdin.fileno()).receive()
    if request is None:
        return
    losses = _LossCounter()
    output = sys.stdout.fileno()
    try:
        arm_watchdog(float(request.fields["watchdog_s"]))
        _read(request.fields, output, losses)
        ipc.send(output, ipc.Message("ended"))
    except BrokenPipeError:  # the parent has ended
        pass
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        ipc.send(output, ipc.Message("failed", {"reason": reason_of(error)}))


def reason_of(error: Exception) -> str:
    """Describe why a source cannot be read, without FFmpeg's message, which may contain the password."""
    if isinstance(error, SourceFailure):
        return error.reason
    number = getattr(error, "errno", None)
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        return "user or password refused"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "nothing is published there (404)"
    if isinstance(error, av.error.InvalidDataError):
        return "no video that FFmpeg can read"
    if number in _REASONS:
        return _REASONS[number]
    if isinstance(error, av.error.FFmpegError | OSError):
        return str(error.strerror or type(error).__name__).lower()
    return "cannot be opened" if isinstance(error, ValueError) else "no video in it"


def _read(request: dict[str, Any], output: int, losses: _LossCounter) -> None:
    if request["format"] != "rtsp":
        _read_url(request, output, losses)
        return
    options = request["options"]
    transport, timeout_s = options["rtsp_transport"], float(options["timeout"]) / 1_000_000
    with Gateway(request["url"], transport=transport, timeout_s=timeout_s, verify_tls=request["verify_tls"]) as gateway:
        local = {**options, "rtsp_transport": "tcp"} | (_NOTICE_LOSSES if transport == "udp" else {})
        try:
            _read_url({**request, "url": gateway.url, "options": local}, output, losses)
        except (av.error.FFmpegError, OSError) as error:
            raise gateway.failure or error from error
        if gateway.failure is not None:
            raise gateway.failure


def _read_url(request: dict[str, Any], output: int, losses: _LossCounter) -> None:
    watchdog_s = float(request["watchdog_s"])
    with av.open(request["url"], "r", format=request["format"], options=request["options"]) as container:
        video = _largest_video_stream(container)
        audio = next(iter(container.streams.audio), None) if request["audio"] else None
        streams: list[Stream] = [video] if audio is None else [video, audio]
        for stream in container.streams:
            if stream not in streams:
                stream.discard = Discard.all
        has_adts = audio is not None and _lacks_extradata(audio)
        opened, packets = False, _packets(container, streams, losses)
        if request["paced"] or container.format.name in _SEGMENTED_FORMATS:
            ahead_s = 0.0 if request["format"] == "lavfi" else READ_AHEAD_S
            packets = paced(packets, ahead_s=ahead_s, sleep=_sleep_without_watchdog)
        for packet in packets:
            arm_watchdog(watchdog_s)
            lost = losses.take_count()
            if not opened and packet.stream is video:
                ipc.send(output, _opened_message(packet, streams))
                opened = True
            if opened:
                data = bytes(packet)
                if has_adts and packet.stream is audio:
                    data = strip_adts_header(data)
                ipc.send(output, _packet_message(packet, data, lost))


def _largest_video_stream(container: InputContainer) -> VideoStream:
    """The video stream with the most pixels; IndexError if there is none."""
    candidates = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
    return sorted(candidates, key=lambda each: each.width * each.height)[-1]


def _sleep_without_watchdog(seconds: float) -> None:
    arm_watchdog(0)
    time.sleep(seconds)


def _packets(container: InputContainer, streams: list[Stream], losses: _LossCounter) -> Iterator[AnyPacket]:
    """Yield packets; uncompressed pictures, which packets only refer to, are copied into them."""
    size: tuple[int, int] | None = None
    for packet in _demux(container, streams, losses):
        if packet.stream.type == "video" and packet.stream.codec_context.name == _UNCOMPRESSED_CODEC:
            for picture in packet.decode():
                assert isinstance(picture, VideoFrame)
                size = size or (picture.width, picture.height)
                if size != (picture.width, picture.height):
                    raise SourceFailure("its picture size has changed")
                yield _to_raw_packet(picture, packet)
        else:
            yield packet


def _demux(container: InputContainer, streams: list[Stream], losses: _LossCounter) -> Iterator[AnyPacket]:
    """Yield packets until the end; unreadable packets are skipped and counted as lost."""
    errors_in_a_row = 0
    while True:
        try:
            for packet in container.demux(streams):
                if packet.size:
                    errors_in_a_row = 0
                    yield packet
            return
        except EOFError:
            return
        except av.error.InvalidDataError:
            errors_in_a_row += 1
            losses.unreadable += 1
            if errors_in_a_row > _MAX_CONSECUTIVE_ERRORS:
                raise


def _to_raw_packet(picture: VideoFrame, packet: AnyPacket) -> AnyPacket:
    if picture.format.name not in ("yuv420p", "yuvj420p"):
        picture = picture.reformat(format="yuv420p")
    raw: AnyPacket = Packet(picture.to_ndarray().tobytes())
    raw.pts, raw.dts, raw.time_base = packet.pts, packet.dts, packet.time_base
    raw.stream = packet.stream
    return raw


def _packet_message(packet: AnyPacket, data: bytes, lost: int) -> ipc.Message:
    fields = {
        "track": packet.stream.type,
        "pts": packet.pts,
        "dts": packet.dts,
        "base": [packet.time_base.numerator, packet.time_base.denominator],
        "key": packet.is_keyframe,
        "intact": not packet.is_corrupt,
        "lost": lost,
        "at": time.monotonic(),
    }
    return ipc.Message("packet", fields, data)


def _opened_message(first: AnyPacket, streams: list[Stream]) -> ipc.Message:
    """Describe the streams by a NUT file that contains the packet `first`."""
    video = streams[0]
    assert isinstance(video, VideoStream)
    rates = (video.average_rate, video.guessed_rate)
    rate = next((rate for rate in rates if rate and _PLAUSIBLE_RATES[0] <= rate <= _PLAUSIBLE_RATES[1]), Fraction(30))
    fields = {"rate": str(rate), "raw": video.codec_context.name == _UNCOMPRESSED_CODEC}
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as nut:
        copies = [_copy_stream(nut, stream) for stream in streams]
        packet: AnyPacket = Packet(bytes(first))
        packet.pts = packet.dts = 0
        packet.time_base, packet.is_keyframe, packet.stream = first.time_base, True, copies[0]
        nut.mux_one(packet)
    return ipc.Message("opened", fields, buffer.getvalue())


def _copy_stream(nut: OutputContainer, stream: Stream) -> Stream:
    if isinstance(stream, VideoStream) and stream.codec_context.name == _UNCOMPRESSED_CODEC:
        raw = nut.add_stream("rawvideo", rate=30)
        raw.width, raw.height, raw.pix_fmt = stream.codec_context.width, stream.codec_context.height, "yuv420p"
        return raw
    copy = nut.add_stream_from_template(stream, opaque=True)
    if isinstance(stream, AudioStream) and _lacks_extradata(stream):
        codec = stream.codec_context
        copy.codec_context.extradata = audio_specific_config(codec.sample_rate, codec.layout.nb_channels)
    return copy


def _lacks_extradata(audio: AudioStream) -> bool:
    return audio.codec_context.name == "aac" and not audio.codec_context.extradata


class _LossCounter:
    """Counts lost packets. FFmpeg reports RTP losses only on stderr, which this process redirects to itself.

    FFmpeg's default log callback writes there without Python; a Python callback could block decoder threads.
    """

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)  # a full pipe must not block FFmpeg
        os.dup2(write, 2)
        os.close(write)
        self.unreadable = 0
        """Packets that the demuxer could not read since the last `take_count`."""
        av.logging.restore_default_callback()

    def take_count(self) -> int:
        """Return the number of packets lost since the last call."""
        lost, self.unreadable = self.unreadable, 0
        try:
            log_text = os.read(self._read, 1 << 16)
        except BlockingIOError:
            return lost
        return lost + sum(max(1, abs(int(number))) for number in _MISSED_PACKETS.findall(log_text))


if __name__ == "__main__":
    main()
