"""Basic and Digest authentication of RTSP requests (RFC 7617, RFC 7616, RFC 2617)."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

_HASHES = {"SHA-256": "sha256", "SHA-512-256": "sha512_256", "MD5": "md5"}
"""Known digest algorithms, the best first."""
_FIELD = re.compile(r'([a-zA-Z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
_SESSION_SUFFIX = "-SESS"


@dataclass(slots=True)
class Challenge:
    """One way of authentication that a server offers."""

    scheme: str
    """`Basic` or `Digest`."""
    realm: str = ""
    nonce: str = ""
    algorithm: str = "MD5"
    opaque: str | None = None
    qop: bool = False
    """Whether `qop=auth` is offered."""
    stale: bool = False
    """Whether only the nonce has expired."""
    uses: int = 0
    """Requests signed with this nonce."""
    client_nonce: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def strength(self) -> int:
        """The higher, the better; 0: unknown."""
        if self.scheme == "Basic":
            return 1
        names = list(_HASHES)
        name = self.algorithm.upper().removesuffix(_SESSION_SUFFIX)
        return len(names) + 1 - names.index(name) if self.scheme == "Digest" and name in _HASHES else 0

    def sign(self, method: str, uri: str, *, user: str, password: str) -> str:
        """The Authorization header of a request."""
        if self.scheme == "Basic":
            return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.uses += 1
        count = f"{self.uses:08x}"
        secret = self._hash(f"{user}:{self.realm}:{password}")
        if self.algorithm.upper().endswith(_SESSION_SUFFIX):
            secret = self._hash(f"{secret}:{self.nonce}:{self.client_nonce}")
        request = self._hash(f"{method}:{uri}")
        middle = f"{count}:{self.client_nonce}:auth:" if self.qop else ""
        response = self._hash(f"{secret}:{self.nonce}:{middle}{request}")
        fields = [f'username="{_quoted(user)}"', f'realm="{self.realm}"', f'nonce="{self.nonce}"', f'uri="{uri}"']
        fields += [f'response="{response}"', f"algorithm={self.algorithm}"]
        if self.opaque is not None:
            fields.append(f'opaque="{self.opaque}"')
        if self.qop:
            fields += ["qop=auth", f"nc={count}", f'cnonce="{self.client_nonce}"']
        return "Digest " + ", ".join(fields)

    def _hash(self, text: str) -> str:
        name = self.algorithm.upper().removesuffix(_SESSION_SUFFIX)
        return hashlib.new(_HASHES[name], text.encode(), usedforsecurity=False).hexdigest()


def best_challenge(headers: Iterable[str]) -> Challenge | None:
    """The strongest known way among WWW-Authenticate headers; None if none is known."""
    offered = [_parsed(header) for header in headers]
    known = [challenge for challenge in offered if challenge.strength]
    return max(known, key=lambda challenge: challenge.strength, default=None)


def _parsed(header: str) -> Challenge:
    scheme, _, rest = header.strip().partition(" ")
    fields = {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(rest)}
    return Challenge(
        scheme.capitalize(),
        realm=fields.get("realm", ""),
        nonce=fields.get("nonce", ""),
        algorithm=fields.get("algorithm", "MD5"),
        opaque=fields.get("opaque"),
        qop="auth" in re.split(r"[\s,]+", fields.get("qop", "")),
        stale=fields.get("stale", "").lower() == "true",
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
