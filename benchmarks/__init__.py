"""What the project promises of its speed and memory, measured: python -m benchmarks.<name>.

`pip install --no-deps -r benchmarks/requirements.txt` first.
"""
