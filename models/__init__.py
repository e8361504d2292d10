"""Models: detectors that score planes, and enhancers that enlarge them. No files are opened here but weights."""
