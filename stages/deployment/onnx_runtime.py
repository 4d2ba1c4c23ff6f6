"""ONNX Runtime, imported in one place: as it comes, it sends telemetry to Microsoft and keeps an id for it on disk.

The variable prevents both if it is set before the import (ONNX Runtime's Privacy.md; tests/test_page.py looks).
"""

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Read an ONNX file for use on one core: so small a network gains nothing from several threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # As bytes: paths with Hangul are no matter then.
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
