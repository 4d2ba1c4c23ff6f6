"""Note what lies in the Korean download, so that DVC need not read all of it for a checksum.

In:  the names, sizes and dates of the files at `data.korean` in params.yaml. In place of its date, a zip archive's
     directory is taken, which holds the CRC-32 of each member and is the same on every machine.
Out: data/fingerprint.json: number and bytes of the files, and a digest that changes with any of them.
Run: python -m stages.fingerprint

DVC would hash hundreds of gigabytes, and again for each queued experiment, which runs in a copy of the repository. So
`rename` depends on the fingerprint, and DVC takes it each time (`always_changed`).
"""

import hashlib
import os
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.files import archives
from stages.files.metrics import write_metrics
from stages.runtime import params
from stages.runtime.errors import UserError, run

OUT = Path("data/fingerprint.json")
# Drawn by a stage: its dates differ in each clone, and it is small enough to be read.
SAMPLE = Path("data/sample/korean")


def main() -> None:
    """Write the fingerprint."""
    places = {name: Path(place) for name, place in params.load().data.items()}
    check_places(places)
    root = places["korean"]
    found = fingerprint(root, dated=root != SAMPLE)
    write_metrics(found, OUT)
    print(f"{root}: {found['files']:,} files, {found['bytes']:,} bytes")


def check_places(places: Mapping[str, Path]) -> None:
    """Stop if nothing is at the place of a data set."""
    for name, place in places.items():
        if not place.exists():
            where = "" if place.is_absolute() else f" in {Path.cwd()} (a queued experiment runs in a copy elsewhere)"
            raise UserError(f"{place} does not exist{where}. Set data.{name} in params.yaml to an absolute path.")


def fingerprint(root: Path, dated: bool) -> dict[str, Any]:
    """Number and bytes of the files below `root`, and a digest of each one's name, size and content.

    For content stands a zip archive's directory, and of other files the date if `dated`, or else the CRC-32.
    """
    digest, count, total = hashlib.blake2b(digest_size=16), 0, 0
    for path in archives.files(root):
        name = os.fsencode(path)[len(os.fsencode(root)) :]
        size, content = state(path, dated)
        digest.update(b"%d %d %d %b%b" % (len(name), size, len(content), name, content))
        count += 1
        total += size
    return {"files": count, "bytes": total, "digest": digest.hexdigest()}


def state(path: Path, dated: bool) -> tuple[int, bytes]:
    """Bytes of a file and what stands for its content; nothing of what is no file, such as a link to nowhere."""
    try:
        status = path.stat()
    except OSError:
        return 0, b""
    if not stat.S_ISREG(status.st_mode):
        return 0, b""
    if path.name.lower().endswith(".zip") and (directory := archives.directory(path)):
        return status.st_size, directory
    return status.st_size, b"%d" % (status.st_mtime_ns if dated else zlib.crc32(path.read_bytes()))


if __name__ == "__main__":
    run(main)
