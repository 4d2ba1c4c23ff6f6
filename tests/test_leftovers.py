"""What DVC had half written when it was killed is named in a sentence, and nothing finished is lost."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.cli import main as dvc
from dvc.repo import Repo
from sentences import says

from stages.runtime.errors import UserError
from tools import leftovers

ROOT = Path(__file__).parent.parent
PIPELINE = """
stages:
  one: {cmd: cp source one && echo done >>runs, deps: [source], outs: [one]}
  two: {cmd: cp one two && echo done >>runs, deps: [one], outs: [two]}
"""


def run(*command: str) -> str:
    """What a command prints, which may fail."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8")
    return done.stdout + done.stderr


def test_a_lock_file_that_was_cut_off(place: Path) -> None:
    # This environment in place of a new one.
    (place / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (place / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(ROOT / "Makefile", place)
    for name in ("requirements.txt", ".venv/installed", "source"):
        (place / name).touch()
    Path("dvc.yaml").write_text(PIPELINE)
    run("git", "init", "-q")
    Repo.init()
    dvc(["repro", "-q", "one"])
    run("git", "add", "dvc.lock")
    run("git", "commit", "-qm", "one")
    dvc(["repro", "-q"])
    lock = Path("dvc.lock")
    lock.write_text(lock.read_text()[:-60])  # DVC stops, and does not say why
    printed = run("make", "run")
    assert "Traceback" not in printed, printed
    (sentence,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    says(sentence, "dvc.lock is not whole", "run cache")
    for command in re.findall("`(.*?)`", sentence):
        run(*command.split())
    assert Path("runs").read_text() == "done\ndone\n"
    assert "up to date" in run("dvc", "status")


def test_wherever_the_lock_file_is_cut_off(place: Path) -> None:
    Repo.init(no_scm=True)
    whole = (ROOT / "dvc.lock").read_bytes()[:4000]
    # Between two lines it mostly is a lock file of fewer stages.
    cuts = [whole[:end] for end in range(0, len(whole), 331) if whole[end - 1 : end] != b"\n"]
    for content in [*cuts, bytes(len(whole))]:  # zeros: as some file systems leave it after a power cut
        Path("dvc.lock").write_bytes(content)
        with pytest.raises(UserError) as error:
            leftovers.main()
        says(error, "dvc.lock is not whole")
    Path("dvc.lock").write_bytes((ROOT / "dvc.lock").read_bytes())
    leftovers.main()


def test_a_broken_configuration_is_not_the_lock_files_fault(place: Path) -> None:
    Repo.init(no_scm=True)
    Path("dvc.lock").write_bytes((ROOT / "dvc.lock").read_bytes())
    Path(".dvc/config").write_text("[core\nremote = store\n")
    leftovers.main()


@pytest.mark.parametrize("left", ['{"write": {"/data/cr', ""])
def test_a_half_written_rwlock(place: Path, left: str) -> None:
    Repo.init(no_scm=True)
    leftovers.RWLOCK.parent.mkdir(exist_ok=True)
    leftovers.RWLOCK.write_text(left)
    with pytest.raises(UserError) as error:
        leftovers.main()
    says(error, ".dvc/tmp/rwlock is not whole", "Remove it", "dvc repro")
    leftovers.RWLOCK.unlink()
    leftovers.main()
