"""What strangers may ask of the web app, in one place."""

from __future__ import annotations

from dataclasses import dataclass

MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on everything that arrives; all of them are refused in words."""

    upload_bytes: int = 512 * MEBI
    """Largest request: a video, or a picture."""
    uploads_at_once: int = 4
    """Uploads that arrive at the same time; the next one is refused with 503."""
    picture_bytes: int = 64 * MEBI
    picture_px: int = 36_000_000
    """Width times height, read from the file's head before anything is decoded."""
    forced_px: int = 12_000_000
    """Width times height of a picture that is repaired though it is sound: it has no blocks that make it small."""
    video_px: int = 4096 * 2304
    """Width times height of a frame."""
    video_s: float = 600.0
    video_frames: int = 36_000
    live_px: int = 1920 * 1080
    live_bytes: int = 4 * MEBI
    """Largest picture from the browser's camera."""
    live_seats: int = 2
    """Cameras that are watched at once."""
    queue: int = 16
    """Requests that wait; the next one is refused with 503."""
    videos_waiting: int = 4
    """Videos that wait for the one that is being repaired."""
    disk_bytes: int = 8 * 1024 * MEBI
    """Uploads and results together; uploads beyond are refused until old ones are deleted."""
    keep_s: float = 1800.0
    """Uploads and results are deleted after this long."""
    upload_grace_s: float = 5.0
    """For so long an upload may be as slow as it likes …"""
    upload_bytes_per_s: int = 32 * 1024
    """… and then it must have been at least so fast from its beginning."""
    upload_stall_s: float = 10.0
    """Longest silence within a request."""
    body_bytes: int = MEBI
    """Largest request that is no upload."""
