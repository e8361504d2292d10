"""Parts of the upscale pipeline that only files have: copied packets, and resume."""
