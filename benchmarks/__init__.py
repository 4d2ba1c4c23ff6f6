"""Measurements behind the figures in README.md; `pip install --no-deps -r benchmarks/requirements.txt` first."""
