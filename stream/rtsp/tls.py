"""Encrypted connections: certificates are verified unless the user says otherwise."""

from __future__ import annotations

import socket
import ssl

from .failure import SourceFailure


def encrypt(connection: socket.socket, host: str, *, verify: bool) -> ssl.SSLSocket:
    """Agree on TLS with `host`; raises SourceFailure if that fails, or with `verify` if it is not trusted."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        connection.close()
        raise SourceFailure(
            f"its certificate is not trusted ({error.verify_message}); add --insecure-tls to accept it"
        ) from error
    except ssl.SSLError as error:
        connection.close()
        raise SourceFailure("no encrypted connection (TLS) can be agreed on") from error


def check_certificate(host: str, port: int, *, timeout_s: float) -> None:
    """Connect once to see whether the certificate is trusted; raises SourceFailure if not, OSError without a peer.

    FFmpeg refuses it, too, but does not say why.
    """
    try:
        with socket.create_connection((host, port), timeout_s) as raw, encrypt(raw, host, verify=True):
            pass
    except TimeoutError as error:
        raise SourceFailure("no answer in time") from error


def ffmpeg_options(*, verify: bool) -> dict[str, str]:
    """FFmpeg's options for TLS; by itself, it accepts any certificate."""
    if not verify:
        return {"tls_verify": "0"}
    paths = ssl.get_default_verify_paths()
    authorities = paths.cafile or paths.openssl_cafile
    return {"tls_verify": "1", "ca_file": authorities}
