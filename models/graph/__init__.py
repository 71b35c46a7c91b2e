"""ONNX graph -> ONNX graph: find, fold, observe and adapt normalisation layers."""
