"""A network as a file for use, with its model card inside."""
