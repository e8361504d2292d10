"""Request limits of the web app."""

from __future__ import annotations

from dataclasses import dataclass

MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds for requests, uploads and storage; every rejection comes with a message."""

    upload_bytes: int = 512 * MEBI
    """Largest upload, video or picture."""
    max_concurrent_uploads: int = 4
    """Uploads that arrive at the same time; the next one is rejected with 503."""
    picture_bytes: int = 64 * MEBI
    picture_px: int = 36_000_000
    """Width times height, read from the file header before anything is decoded."""
    forced_px: int = 12_000_000
    """Width times height of a clean picture that is repaired anyway: it has no blocks that would reduce its size."""
    several_pictures: int = 50
    """Pictures that may be sent at once."""
    several_bytes: int = 256 * MEBI
    several_px: int = 400_000_000
    """Width times height of all pictures that are sent at once; those beyond it are left out, by name."""
    video_px: int = 4096 * 2304
    """Width times height of a frame."""
    video_s: float = 600.0
    video_frames: int = 36_000
    live_px: int = 1920 * 1080
    live_bytes: int = 4 * MEBI
    """Largest frame from the browser's camera."""
    max_live_connections: int = 2
    """Cameras that are connected at the same time."""
    queue: int = 16
    """Requests that wait; the next one is rejected with 503."""
    videos_waiting: int = 4
    """Videos that wait while another one is repaired."""
    disk_bytes: int = 8 * 1024 * MEBI
    """Uploads and results together; further uploads are rejected until old files are deleted."""
    retention_s: float = 1800.0
    """Uploads and results are deleted after this time."""
    upload_grace_s: float = 5.0
    """Time during which an upload may be arbitrarily slow."""
    upload_bytes_per_s: int = 32 * 1024
    """Minimum average rate of an upload after the grace period, counted from its beginning."""
    upload_stall_s: float = 10.0
    """Longest pause within a request."""
    body_bytes: int = MEBI
    """Largest request that is not an upload."""
