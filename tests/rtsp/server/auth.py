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
    """How users prove who they are."""

    BASIC = "Basic"
    DIGEST = "Digest"


class Gate:
    """Knows the users; without any, everybody may pass."""

    def __init__(self, users: Mapping[str, str], scheme: Scheme) -> None:
        self._users, self._scheme = dict(users), scheme
        self._nonce = secrets.token_hex(8)

    def challenge(self) -> str:
        """The WWW-Authenticate header of a refusal."""
        nonce = f', nonce="{self._nonce}"' if self._scheme is Scheme.DIGEST else ""
        return f'{self._scheme.value} realm="{_REALM}"{nonce}'

    def admits(self, request: Request) -> bool:
        """Whether `request` comes from a user, by the scheme that is asked for."""
        if not self._users:
            return True
        scheme, _, proof = request.headers.get("authorization", "").partition(" ")
        if scheme != self._scheme.value:
            return False
        return self._knows(proof) if self._scheme is Scheme.BASIC else self._has_proved(proof, request.method)

    def _knows(self, proof: str) -> bool:
        user, _, password = base64.b64decode(proof).decode().partition(":")
        return self._users.get(user) == password

    def _has_proved(self, proof: str, method: str) -> bool:
        said = dict(re.findall(r'(\w+)="([^"]*)"', proof))
        user = said.get("username", "")
        if user not in self._users or said.get("nonce") != self._nonce:
            return False
        secret = _md5(f"{user}:{_REALM}:{self._users[user]}")
        asked = _md5(f"{method}:{said.get('uri', '')}")
        return said.get("response") == _md5(f"{secret}:{self._nonce}:{asked}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
