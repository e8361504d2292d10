"""Compression artifact reduction: networks of factor 1 for macroblocks, given how coarsely each was coded."""
