"""ONNX graph to ONNX graph, one idea a file."""
