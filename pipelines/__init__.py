"""The corridor: detect, route, enhance, and what is told about it afterwards."""
