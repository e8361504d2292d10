"""The parts of an upload: files go to the disk, all else would stay in memory and has to be small."""

from __future__ import annotations

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from .rejection import RequestRejectedError


class UploadParser:
    """Reads along with Gradio's parser, by the same library, and cuts what that would keep in memory."""

    def __init__(self, content_type: str, *, most: int) -> None:
        """`most`: bytes that all parts without a file name may have together; CutError where it is no form."""
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise RequestRejectedError(415, "Files are taken as multipart/form-data.")
        self._left = most
        self._field, self._text = b"", b""
        self._disposition = b""
        self._is_file = False
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
            },
        )

    def take(self, piece: bytes) -> None:
        """Read on; CutError where it cannot be, or holds too much that is no file."""
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise RequestRejectedError(400, "This upload cannot be understood.") from None

    def _begin(self) -> None:
        self._disposition, self._is_file = b"", False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._text += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._text
        self._field, self._text = b"", b""

    def _headers_finished(self) -> None:
        self._is_file = b"filename" in parse_options_header(self._disposition)[1]

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            return
        self._left -= end - start
        if self._left < 0:
            raise RequestRejectedError(413, "This upload holds too much that is no file.")
