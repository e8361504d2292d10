"""Side data of decoded pictures, kinds included that PyAV does not know."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, cast

from av.sidedata.sidedata import SideData, SideDataContainer, Type
from av.video.frame import VideoFrame

from deepclarity.stream.user_data.hdr10_plus import message_of as hdr10_plus_message
from deepclarity.stream.user_data.messages import (
    Messages,
    UserDataKind,
    active_format_message,
    caption_messages,
)
from deepclarity.stream.user_data.messages import kind_of as user_data_kind

_HDR10_PLUS = UserDataKind.HDR10_PLUS

_NEWER = {28: "LCEVC", 29: "VIEW_ID", 30: "REFERENCE_DISPLAYS_3D", 31: "EXIF"}
"""Kinds of FFmpeg (`AVFrameSideDataType`) that PyAV's enumeration lacks."""


def side_data_of(picture: VideoFrame) -> Iterator[SideData]:
    """The side data of a picture.

    `picture.side_data` would stay with the picture and refer back to it: pictures would pile up in memory until Python
    searches for reference cycles, which it does by the number of objects, not by their size.
    """
    container_of: Any = SideDataContainer  # typed as a mapping without parameters, but indexed like a list
    try:
        side_data = container_of(picture)
    except ValueError:  # one kind that PyAV does not know hides the others
        Type._missing_ = classmethod(_member)  # type: ignore[method-assign, arg-type, assignment]
        side_data = container_of(picture)
    for number in range(len(side_data)):
        yield side_data[number]


def user_data_of(picture: VideoFrame, packet: Messages = ()) -> Messages:
    """The user data of a decoded picture; `packet`: what was read from its packet, beside which nothing is repeated."""
    messages: Messages = ()
    for data in side_data_of(picture):
        if data.type == Type.A53_CC:
            messages += caption_messages(bytes(data))
        elif data.type == Type.AFD and len(payload := bytes(data)):
            messages += (active_format_message(payload[0]),)
        elif data.type == Type.DYNAMIC_HDR_PLUS and all(user_data_kind(m) is not _HDR10_PLUS for m in packet):
            hdr10_plus = hdr10_plus_message(bytes(data))
            messages += () if hdr10_plus is None else (hdr10_plus,)
    return (*messages, *packet)


def kind_of(data: SideData) -> str:
    """FFmpeg's name of a kind of side data, such as `DISPLAYMATRIX`; `KIND_99` for those without a name here."""
    return str(data.type.name)


@functools.cache
def _member(kinds: type[Type], value: object) -> Type:
    """A member of PyAV's enumeration for a kind that it lacks: asked for by `Enum` itself."""
    member: Any = object.__new__(kinds)
    member._name_ = _NEWER.get(value, f"KIND_{value}") if isinstance(value, int) else str(value)
    member._value_ = value
    return cast("Type", member)
