"""Export of the tiers for other programs: ONNX, TorchScript, safetensors."""
