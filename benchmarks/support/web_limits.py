"""Requests that the web app must refuse: a decompression bomb, uploads over the limit, a slow upload."""

from __future__ import annotations

import socket
import struct
import time
import zlib
from typing import Any

import httpx


def bomb(address: str) -> dict[str, Any]:
    """50,000 x 50,000 pixels in a few kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(2_000_000), 9)) + chunk(b"IEND", b"")
    with httpx.Client(base_url=address, timeout=60) as web:
        began = time.perf_counter()
        path = web.post("/gradio_api/upload", files={"files": ("bomb.png", png)}).json()[0]
        body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "lattice-net"]}
        event = web.post("/gradio_api/call/detect", json=body).json()["event_id"]
        said = web.get(f"/gradio_api/call/detect/{event}").text
    assert "too many pixels" in said
    return {"bytes": len(png), "refused_within_s": round(time.perf_counter() - began, 3)}


def flood(address: str, *, declared: bool) -> dict[str, Any]:
    """1 GB, with or without a declared size: seconds from passing the limit to the refusal."""
    host, port = address.removeprefix("http://").split(":")
    size = f"Content-Length: {1 << 30}" if declared else "Transfer-Encoding: chunked"
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    limit, sent, piece = 512 << 20, 0, bytes(1 << 20)
    with socket.create_connection((host, int(port))) as line:
        request = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\n"
        line.sendall(f"{request}Content-Type: multipart/form-data; boundary=b\r\n{size}\r\n\r\n".encode())
        known = time.perf_counter()
        if not declared:
            line.sendall(b"%x\r\n%s\r\n" % (len(head), head))
            while sent <= limit:
                line.sendall(b"100000\r\n" + piece + b"\r\n")
                sent += len(piece)
            known = time.perf_counter()
        answer = line.recv(4096)
        took_s = time.perf_counter() - known
    assert b" 413 " in answer.split(b"\r\n")[0], answer
    return {"refused_within_s": round(took_s, 3), "sent_mb": sent >> 20}


def slow(address: str) -> dict[str, Any]:
    """One byte a second: seconds from the end of the five-second grace period to the refusal."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        request = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000\r\n"
        line.sendall(f"{request}Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-".encode())
        began, answer = time.perf_counter(), b""
        line.settimeout(1)
        while not answer:
            line.sendall(b"-")
            try:
                answer = line.recv(4096)
            except TimeoutError:
                continue
        took_s = time.perf_counter() - began
    assert b" 408 " in answer.split(b"\r\n")[0], answer
    return {"refused_within_s": round(took_s - 5, 3)}
