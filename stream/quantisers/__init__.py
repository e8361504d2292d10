"""Quantisers read from the bitstream itself, of codecs whose decoders in FFmpeg export none."""
