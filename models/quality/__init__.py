"""What became of a picture before it reached us, by the picture alone: how coarsely it was coded, how far enlarged."""
