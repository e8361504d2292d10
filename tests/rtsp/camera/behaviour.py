"""What a test camera does, and does wrong."""

from __future__ import annotations

import hashlib
import re
import secrets
import ssl
from dataclasses import dataclass, field

from tests.rtsp.server.messages import Request
from tests.rtsp.server.transports import NetworkConditions

REALM = "camera"


@dataclass
class Behaviour:
    """A well-behaved camera; each field makes it another one."""

    user: str | None = None
    password: str = ""
    challenges: tuple[str, ...] = ("MD5",)
    """What a 401 offers, in this order: `Basic`, `MD5`, `SHA-256`."""
    nonce_per_request: bool = False
    """Whether each request needs a nonce of its own, so that 401 comes first for every method."""
    content_base: str | None = None
    """Content-Base of its description, instead of its URL."""
    redirects_to: str | None = None
    """Address that DESCRIBE is sent on to."""
    describe_status: str | None = None
    """Status that DESCRIBE is answered with, such as `404 Not Found`."""
    reports: bool = True
    """Whether RTCP sender reports are sent."""
    clock_offset_s: float = 0.0
    """How wrong the camera's clock is, in its sender reports."""
    keep_alive: str = "GET_PARAMETER"
    """The only method that prolongs a session; the other one of GET_PARAMETER and OPTIONS is answered with 501."""
    session_timeout_s: float = 60.0
    speed: float = 1.0
    """Speed of time: sending is faster or slower than the timestamps say."""
    limit: int | None = None
    """Units sent per session and track; then nothing comes."""
    first_timestamp: int = 90_000
    network: NetworkConditions = field(default_factory=NetworkConditions)
    """Faults of UDP."""
    tls: ssl.SSLContext | None = None

    def challenge_headers(self, nonce: str) -> list[tuple[str, str]]:
        """The WWW-Authenticate headers of a 401."""
        return [("WWW-Authenticate", _challenge(kind, nonce)) for kind in self.challenges]


def _challenge(kind: str, nonce: str) -> str:
    if kind == "Basic":
        return f'Basic realm="{REALM}"'
    return f'Digest realm="{REALM}", nonce="{nonce}", algorithm={kind}, qop="auth"'


def new_nonce() -> str:
    """A nonce."""
    return secrets.token_hex(8)


def authorized(behaviour: Behaviour, request: Request, nonces: set[str]) -> bool:
    """Whether a request has the credentials, by one of the offered schemes and one of the nonces."""
    if behaviour.user is None:
        return True
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        import base64

        plain = f"{behaviour.user}:{behaviour.password}"
        return "Basic" in behaviour.challenges and credentials == base64.b64encode(plain.encode()).decode()
    fields = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', credentials)}
    algorithm = fields.get("algorithm", "MD5")
    if scheme != "Digest" or algorithm not in behaviour.challenges or fields.get("nonce") not in nonces:
        return False
    return fields.get("response") == _response(algorithm, request.method, behaviour, fields)


def _response(algorithm: str, method: str, behaviour: Behaviour, fields: dict[str, str]) -> str:
    """The response of RFC 7616."""

    def digest(text: str) -> str:
        return hashlib.new({"MD5": "md5", "SHA-256": "sha256"}[algorithm], text.encode()).hexdigest()

    user_hash = digest(f"{behaviour.user}:{REALM}:{behaviour.password}")
    request_hash = digest(f"{method}:{fields.get('uri')}")
    if "qop" not in fields:
        return digest(f"{user_hash}:{fields['nonce']}:{request_hash}")
    return digest(
        f"{user_hash}:{fields['nonce']}:{fields.get('nc')}:{fields.get('cnonce')}:{fields['qop']}:{request_hash}"
    )
