"""Live sources and sinks: cameras and network streams in; RTSP, windows and virtual cameras out."""
