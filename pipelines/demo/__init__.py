"""The demo clip and its picture."""
