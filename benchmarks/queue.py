"""How much of the Korean download DVC reads: after a change, with nothing to do, and in a queued experiment.

A few small photos are packed as AI-Hub 82 packs them, and DVC runs up to `index@korean` in a temporary repository; then
again, with the archives filled up with noise to the size given. Bytes are those that DVC and all it starts `read`, from
the disk or from memory (Linux counts them); what the second time has more is due to the size.
Run: python -m benchmarks.queue 5
"""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from benchmarks.load import make_repository, write_photos
from benchmarks.measuring import command_line, environment
from stages.runtime import errors

PHOTOS = 300
NOISE = os.urandom(1 << 20)
AUTHOR = "-c", "user.name=queue", "-c", "user.email=queue@example.org"
MOST = 0.01  # of the size, that any of it may read


def main() -> None:
    """Print what each kind of run reads, and fail if it is too much or `rename` does not see the change."""
    parser = command_line("queue", __doc__)
    parser.add_argument("gigabytes", type=float, help="size of the download, such as 5")
    size = parser.parse_args().gigabytes * 1e9
    with tempfile.TemporaryDirectory(prefix="queue") as name:
        place, download = Path(name, "repository"), Path(name, "download")
        place.mkdir()
        write_photos(download, PHOTOS)
        make_repository(place, download)
        small = measure(place, 2)
        archives = sorted(download.rglob("*.zip"))
        for archive in archives:
            fill(archive, size / len(archives))
        large = measure(place, 3)
    failed = False
    for what, read in small.items():
        share = max(0, large[what] - read) / size
        failed |= share > MOST
        print(f"{what}: {read / 1e6:,.0f} MB, {large[what] / 1e6:,.0f} MB, {share:.3%} of the size")
    sys.exit(failed)


def measure(place: Path, seed: int) -> dict[str, int]:
    """Bytes that `dvc repro` reads after a change of the download, then with nothing to do, then in an experiment."""
    result = {}
    for what, command, renamed in (
        ("changed", ["repro", "index@korean"], True),
        ("nothing to do", ["repro", "index@korean"], False),
        ("experiment", ["exp", "run", "--temp", "-S", f"index.korean.seed={seed}", "index@korean"], False),
    ):
        before = bytes_read()
        start = time.monotonic()
        output = run(place, "dvc", *command)
        result[what] = bytes_read() - before
        print(f"{what}: {time.monotonic() - start:.1f} s", flush=True)
        if ("Running stage 'rename'" in output) != renamed:
            sys.exit(f"rename {'did not run' if renamed else 'ran'}:\n{output}")
        run(place, "git", "add", ".")
        run(place, "git", *AUTHOR, "commit", "--allow-empty", "-qm", what)
    return result


def run(place: Path, *command: str) -> str:
    """Run a command in `place`; what it printed."""
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def fill(archive: Path, size: float) -> None:
    """Append about `size` bytes that are no photo to an archive."""
    with zipfile.ZipFile(archive, "a") as opened, opened.open("noise.bin", "w", force_zip64=True) as member:
        for _ in range(max(1, round(size / len(NOISE)))):
            member.write(NOISE)


def bytes_read() -> int:
    """Bytes that this process and all that it has started and waited for have read."""
    return int(Path("/proc/self/io").read_text(encoding="utf-8").split()[1])


if __name__ == "__main__":
    errors.run(main)
