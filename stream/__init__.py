"""Frames in, frames out: sources, sinks, encoders. The only package that imports FFmpeg (PyAV)."""
