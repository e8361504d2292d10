"""User data of single pictures: closed captions and dynamic HDR metadata, read, carried with frames, and written."""
