import contextlib
import sys
import types
from pathlib import Path

import pytest

from stages.runtime import resume


def unfinished(stage: str, inputs: list[Path], values: dict[str, object]) -> Path:
    """The folder of a run that was killed."""
    with contextlib.suppress(KeyboardInterrupt), resume.folder(stage, inputs, values) as folder:
        raise KeyboardInterrupt
    return folder


def test_folder_changes_with_all_that_the_result_depends_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = place / "manifest.csv"
    source.write_text("a")
    code = place / "code.py"
    code.write_text("1")
    module = types.ModuleType("stages.test_code")
    module.__file__ = str(code)
    monkeypatch.setitem(sys.modules, "stages.test_code", module)

    def folder(value: object = 1, stage: str = "crop") -> Path:
        return unfinished(stage, [source], {"b": 2, "a": value})

    first = folder()
    assert first.is_dir()
    assert first == folder()
    # The order of the emotions is that of the classes.
    assert first != unfinished("crop", [source], {"a": 1, "b": 2})
    assert first.parts[:2] == (".work", "crop")
    source.write_text("b")
    second = folder()
    code.write_text("2")
    third = folder()
    assert len({first, second, third, folder(2), folder("1")}) == 5
    source.write_text("a")
    code.write_text("1")
    assert folder() == first
    assert folder(stage="other").name == first.name


def test_folders_of_a_finished_stage_are_removed(place: Path) -> None:
    folders = [unfinished(stage, [], {"a": a}) for stage, a in [("crop", 1), ("crop", 2), ("other", 1)]]
    (folders[0] / "part.csv").write_text("x")
    with resume.folder("crop", [], {"a": 2}) as folder:
        assert folder == folders[1]
        assert folder.is_dir()
    assert [folder.exists() for folder in folders] == [False, False, True]


def test_half_a_removed_folder_is_never_gone_on_with(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(resume.shutil, "rmtree", killed)
        with resume.folder("crop", [], {}) as folder:
            (folder / "part.csv").write_text("x")
    with resume.folder("crop", [], {}) as folder:
        assert not list(folder.iterdir())
    assert not list(resume.ROOT.iterdir())


@pytest.mark.parametrize(
    ("name", "counts"), [("runtime/engine", False), ("runtime/__init__", False), ("files/images", True)]
)
def test_code_that_changes_no_byte_throws_no_work_away(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, counts: bool
) -> None:
    module = types.ModuleType("stages.edited")
    code = resume.NEUTRAL.parent / f"{name}.py"
    monkeypatch.setitem(sys.modules, "stages.edited", module)
    before = unfinished("crop", [], {})
    module.__file__ = str(code)
    assert (unfinished("crop", [], {}) != before) == (counts and "stages.files.images" not in sys.modules)
