"""Say what to do about a file that DVC had half written when it was killed: dvc.lock or .dvc/tmp/rwlock.

`make run` asks when `dvc repro` has failed. Run: python -m tools.leftovers
"""

import json
from pathlib import Path

from dvc.dvcfile import LOCK_FILE, Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo

from stages.runtime.errors import UserError, run

RWLOCK = Path(".dvc/tmp/rwlock")


def main() -> None:
    """Stop with a sentence if one of the two is not whole."""
    lock = Path(LOCK_FILE)
    try:
        repo = Repo()
    except DvcException:
        return  # no repository, or a broken .dvc/config: `dvc repro` has said so
    try:
        Lockfile(repo, LOCK_FILE).load()
        # DVC has written it to its end, which is the end of a line.
        whole = not lock.exists() or lock.read_bytes().endswith(b"\n")
    except DvcException:
        whole = False
    if not whole:
        raise UserError(
            f"{LOCK_FILE} is not whole: DVC was killed while it wrote it, or two versions were merged. Type "
            f"`git checkout HEAD {LOCK_FILE}` for the committed one, then `dvc repro`, which takes from the run cache "
            "what was finished."
        )
    try:
        if RWLOCK.exists():
            json.loads(RWLOCK.read_bytes())
    except ValueError:
        raise UserError(
            f"{RWLOCK} is not whole: DVC was killed while it wrote it. Remove it and type `dvc repro` again."
        ) from None


if __name__ == "__main__":
    run(main)
