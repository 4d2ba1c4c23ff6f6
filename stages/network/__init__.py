"""The network, and the labelled faces that it takes."""
