"""Segments of a file, cut where decoding can begin: which leave as their own packets, and which are encoded anew."""
