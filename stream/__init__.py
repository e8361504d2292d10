"""Frames in, frames out. The only folder that knows FFmpeg."""
