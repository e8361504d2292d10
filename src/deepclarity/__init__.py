"""DeepClarity repairs the pixelated frames of a video and leaves every other frame alone."""

__version__ = "0.1.0"
