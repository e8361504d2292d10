"""RTSP gateway: speaks to cameras in place of FFmpeg's own client, which then reads from the gateway."""
