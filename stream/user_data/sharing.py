"""Shares the user data of pictures among the frames made of them: two per picture, or four of five."""

from __future__ import annotations

from .messages import MAX_TRIPLETS, TRIPLET_BYTES, Messages, UserDataKind, caption_messages, caption_triplets, kind_of

_VALID = 4


class UserDataShares:
    """Captions are shown once each and in order; other metadata holds for every frame made of a picture."""

    def __init__(self) -> None:
        self._waiting = b""
        """Captions of pictures of which no frame was made."""

    def of(self, messages: Messages, frames: int) -> list[Messages]:
        """The messages of each of the `frames` that are made of a picture with `messages`."""
        captions = caption_triplets(messages)
        others = tuple(message for message in messages if kind_of(message) is not UserDataKind.CAPTIONS)
        if not frames or self._waiting:
            captions, self._waiting = self._waiting + _without_padding(captions), b""
        space = TRIPLET_BYTES * MAX_TRIPLETS if frames else 0
        own, self._waiting = captions[:space], captions[space:]
        return [(*(caption_messages(own) if number == 0 else ()), *others) for number in range(frames)]


def following_user_data(dropped: Messages, following: Messages) -> Messages:
    """The messages of a frame that follows a dropped one: its own, and the captions of the other before them."""
    captions = _without_padding(caption_triplets(dropped))
    if not captions:
        return following
    others = tuple(message for message in following if kind_of(message) is not UserDataKind.CAPTIONS)
    return (*caption_messages(captions + _without_padding(caption_triplets(following))), *others)


def _without_padding(triplets: bytes) -> bytes:
    """Constructs that are not marked as invalid, which only fill up the rate."""
    steps = range(0, len(triplets), TRIPLET_BYTES)
    return b"".join(triplets[at : at + TRIPLET_BYTES] for at in steps if triplets[at] & _VALID)
