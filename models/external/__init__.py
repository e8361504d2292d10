"""Networks from files of your own: community models for PyTorch and ONNX."""
