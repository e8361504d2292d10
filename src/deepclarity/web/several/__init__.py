"""Several pictures at once."""
