"""What a person runs beside the pipeline: `python -m tools.<name>`."""
