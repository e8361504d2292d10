"""Video I/O: sources, sinks, encoders and the frame type. The only package that imports FFmpeg (PyAV)."""
