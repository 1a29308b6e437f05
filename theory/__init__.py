"""Predicted dynamics of linearized networks, learned from each other: kernels in, learning curves out."""
