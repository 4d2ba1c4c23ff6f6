"""What the project promises of its speed and memory, measured: python -m benchmarks.<name>."""
