"""HTTP Basic and Digest authentication (RFC 2617) of the test server."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from enum import Enum

from tests.rtsp.server.messages import Request

_REALM = "tests"


class Scheme(Enum):
    """Authentication schemes."""

    BASIC = "Basic"
    DIGEST = "Digest"


class Authenticator:
    """Authenticates users; without any users, everybody is accepted."""

    def __init__(self, users: Mapping[str, str], scheme: Scheme) -> None:
        self._users, self._scheme = dict(users), scheme
        self._nonce = secrets.token_hex(8)

    def challenge(self) -> str:
        """The WWW-Authenticate header of a 401 response."""
        nonce = f', nonce="{self._nonce}"' if self._scheme is Scheme.DIGEST else ""
        return f'{self._scheme.value} realm="{_REALM}"{nonce}'

    def authorizes(self, request: Request) -> bool:
        """Whether `request` has valid credentials in the required scheme."""
        if not self._users:
            return True
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme != self._scheme.value:
            return False
        return (
            self._check_basic(credentials)
            if self._scheme is Scheme.BASIC
            else self._check_digest(credentials, request.method)
        )

    def _check_basic(self, credentials: str) -> bool:
        user, _, password = base64.b64decode(credentials).decode().partition(":")
        return self._users.get(user) == password

    def _check_digest(self, credentials: str, method: str) -> bool:
        fields = dict(re.findall(r'(\w+)="([^"]*)"', credentials))
        user = fields.get("username", "")
        if user not in self._users or fields.get("nonce") != self._nonce:
            return False
        user_hash = _md5(f"{user}:{_REALM}:{self._users[user]}")
        request_hash = _md5(f"{method}:{fields.get('uri', '')}")
        return fields.get("response") == _md5(f"{user_hash}:{self._nonce}:{request_hash}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
