"""The rules of `models.graph.fold`: how an affine map per channel moves through a graph, and into which weights."""
