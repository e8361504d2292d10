"""Packets and the pictures that came of them: which are missing, and which two decoders have in common."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from av.video.frame import VideoFrame

from deepclarity.stream.packets import AnyPacket

from .packet_content import NOTHING, ContentReader, PacketContent

_REACH = 1024
"""Packets after which no decoder brings the picture of an earlier one any more."""
_IN_FLIGHT = 64
"""Packets at the end whose pictures a decoder with frame threads can lose."""


@dataclass(slots=True)
class PacketsSeen:
    """The packets given to a decoder, and the pictures that came of them.

    A decoder hands the presentation time of a packet on to its picture. `mark` puts the packet's number there, and
    `identify` the time back: numbers are unique even where times are missing, repeated or wrong.
    """

    read_content: ContentReader | None = None
    """Reads what packets say of their pictures."""
    count: int = 0
    """Packets read so far; the number of the next one."""
    missing: dict[int, int | None] = field(default_factory=dict)
    """Presentation times of the packets whose picture has not come yet, by number."""
    _content: dict[int, PacketContent] = field(default_factory=dict)
    """Content of packets whose picture has not been identified yet, by number."""
    _times: dict[int, int | None] = field(default_factory=dict)
    _keys: deque[int] = field(default_factory=deque)
    _expected: list[tuple[int, int]] = field(default_factory=list)
    """A heap of (presentation time, number)."""

    def mark(self, packet: AnyPacket) -> None:
        """Count `packet` and put its number into its `pts`."""
        number, time = self.count, packet.pts
        self.count += 1
        self._times[number] = time
        if not packet.is_discard:  # an edit list leaves it out
            self.missing[number] = time
            if time is not None:
                heapq.heappush(self._expected, (time, number))
        if packet.is_keyframe:
            self._keys.append(number)
        packet.pts = number
        if self.read_content is not None:
            self._content[number] = self.read_content(bytes(packet))
        self._forget(number - _REACH)
        if len(self._expected) > 2 * _REACH:
            self._expected = [(time, number) for time, number in self._expected if number in self.missing]
            heapq.heapify(self._expected)

    def _forget(self, number: int) -> None:
        self._times.pop(number, None)
        self._content.pop(number, None)
        self.missing.pop(number, None)
        while len(self._keys) > 2 and self._keys[1] < number:
            self._keys.popleft()

    def identify(self, picture: VideoFrame) -> int | None:
        """The number of the packet that held `picture`, whose presentation time is put right; None if unknown."""
        number = picture.pts
        if number is None:
            return None
        picture.pts = self._times.get(number)
        return number

    def take_content(self, number: int | None) -> PacketContent:
        """What the packet with this number says of its picture, which is given once."""
        return NOTHING if number is None else self._content.pop(number, NOTHING)

    def deliver(self, number: int | None) -> None:
        """The picture of this packet goes to the caller."""
        if number is not None:
            self.missing.pop(number, None)

    def has_gap_before(self, picture: VideoFrame) -> bool:
        """Whether a picture that should be shown before this one has not come."""
        while self._expected and self._expected[0][1] not in self.missing:
            heapq.heappop(self._expected)
        return picture.pts is not None and bool(self._expected) and self._expected[0][0] < picture.pts

    def accept_gap_before(self, picture: VideoFrame) -> None:
        """Pictures that should have been shown before this one are no gap any more; they may still come."""
        while self._expected and picture.pts is not None and self._expected[0][0] < picture.pts:
            heapq.heappop(self._expected)

    def lacks_end(self) -> bool:
        """Whether one of the last packets has brought no picture."""
        return any(number >= self.count - _IN_FLIGHT for number in self.missing)

    def entry_point(self) -> int:
        """The number of a key packet from which all missing pictures can be decoded.

        Pictures are shown after the key frame that they depend on, but for those that lead it: once it has been
        delivered, they have. One key frame more, as not every stream keeps to that.
        """
        earlier = 0
        delivered = [key for key in self._keys if key not in self.missing]
        for key in self._keys:
            if not delivered or key == delivered[-1]:
                break
            earlier = key
        return earlier
