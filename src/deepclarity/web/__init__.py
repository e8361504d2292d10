"""The web app: detect, correct, repair a video, watch a camera live."""
