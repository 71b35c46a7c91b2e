"""Twins: the networks that the accuracy of versions is estimated by."""
