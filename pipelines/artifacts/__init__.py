"""Reduction of coding artifacts: between routing and enhancement, at the frame's own size."""
