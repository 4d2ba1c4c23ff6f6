"""Digests of files, by which a report, a model and the weights it was made from are matched."""

import hashlib
from pathlib import Path


def digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
