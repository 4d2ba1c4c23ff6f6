import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.files.archives import write_zip
from stages.files.arrays import ArrayWriter
from stages.files.metrics import write_metrics
from stages.files.tables import write_table
from stages.runtime.replacing import replacing


def array(path: Path) -> None:
    with ArrayWriter(path, 2) as writer:
        writer.append(np.zeros((2, 2), np.uint8))


def sheet(path: Path) -> None:
    from stages.figures.contact_sheet import write_sheet

    write_sheet(path, "title", [])


def chart(path: Path) -> None:
    from matplotlib.figure import Figure

    from stages.figures.charts import save

    save(Figure(), path)


WRITERS: dict[str, Callable[[Path], Any]] = {
    "a.csv": lambda path: write_table(pd.DataFrame({"a": [1]}), path),
    "a.json": lambda path: write_metrics({"a": 1}, path),
    "a.zip": lambda path: write_zip(path, [("a", b"1")]),
    "a.npy": array,
    "a.png": sheet,
    "b.png": chart,
}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hardlink", "symlink"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_linked_cache_is_not_written_through(tmp_path: Path, name: str, link: Callable[[Path, Path], None]) -> None:
    cached, output = tmp_path / "cache", tmp_path / "output" / name
    cached.write_bytes(b"as it was")
    output.parent.mkdir()
    link(cached, output)
    WRITERS[name](output)
    assert cached.read_bytes() == b"as it was"
    assert not output.is_symlink()
    assert output.read_bytes() != b"as it was"
    assert list(output.parent.iterdir()) == [output]


def test_nothing_is_left_of_a_block_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "a/b.txt"
    with replacing(path) as file:
        file.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write_text("new")
        raise KeyboardInterrupt
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]
    assert path.read_text() == "old"


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".part.a.txt").write_text("half")
    with replacing(tmp_path / "a.txt") as file:
        assert not file.exists()
        file.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
