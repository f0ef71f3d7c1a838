"""Batched inference with a small ONNX model, and jobs under GPU reservations."""
