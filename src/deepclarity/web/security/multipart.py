"""Multipart parser that limits the form fields of an upload: unlike files, fields are kept in memory."""

from __future__ import annotations

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from deepclarity.web.errors import RequestRejectedError


class UploadParser:
    """Parses a copy of what Gradio parses, with the same library, and rejects uploads with large form fields."""

    def __init__(self, content_type: str, *, max_field_bytes: int) -> None:
        """`max_field_bytes`: total size of all parts without a file name.

        Raises RequestRejectedError (415) when `content_type` is not multipart/form-data with a boundary.
        """
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise RequestRejectedError(415, "Files must be sent as multipart/form-data.")
        self._remaining_bytes = max_field_bytes
        self._header_name, self._header_text = b"", b""
        self._disposition = b""
        self._is_file = False
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._on_part_begin,
                "on_part_data": self._on_part_data,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse the next chunk; RequestRejectedError when it is malformed (400) or the fields are too large (413)."""
        try:
            self._parser.write(chunk)
        except MultipartParseError:
            raise RequestRejectedError(400, "This upload is malformed.") from None

    def _on_part_begin(self) -> None:
        self._disposition, self._is_file = b"", False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_text += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_text
        self._header_name, self._header_text = b"", b""

    def _on_headers_finished(self) -> None:
        self._is_file = b"filename" in parse_options_header(self._disposition)[1]

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            return
        self._remaining_bytes -= end - start
        if self._remaining_bytes < 0:
            raise RequestRejectedError(413, "The form fields of this upload are too large.")
