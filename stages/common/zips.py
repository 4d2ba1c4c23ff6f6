"""Write zip archives that are the same bytes on every machine and that any file manager opens."""

import zipfile
from collections.abc import Iterable
from pathlib import Path


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, bytes) members, uncompressed and without a date: pictures are compressed already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            # Python writes down the system that it runs on; without the mode, unzip makes files that nobody may read.
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
