"""gRPC: the Open Inference Protocol, health checks and reflection, over the same handler as HTTP."""
