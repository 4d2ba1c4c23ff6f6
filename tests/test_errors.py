"""How a program ends whose output nobody reads any more."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.runtime.errors import run

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_enough_is_no_error(lines: int) -> None:
    main = f"lambda: [print('a line') for _ in range({lines})]"
    program = [sys.executable, "-c", f"from stages.runtime.errors import run; run({main})"]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_ctrl_c_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run(interrupted)
    assert (stop.value.code, *capsys.readouterr()) == (130, "", "")
