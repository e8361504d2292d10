"""The tabs of the web app."""
