"""Train a network, epoch by epoch, and go on after a kill."""
