"""Reading a video track: which one, every picture of it, and when each is shown."""
