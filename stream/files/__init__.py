"""Video files: demuxing, decoding, encoding, muxing, resuming."""
