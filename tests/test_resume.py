import sys
import types
from pathlib import Path

import pytest

from stages.runtime import resume


def test_folder_changes_with_all_that_the_result_depends_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = place / "manifest.csv"
    source.write_text("a")
    code = place / "code.py"
    code.write_text("1")
    module = types.ModuleType("stages.test_code")
    module.__file__ = str(code)
    monkeypatch.setitem(sys.modules, "stages.test_code", module)

    def folder(value: object = 1, stage: str = "crop") -> Path:
        return resume.folder(stage, [source], {"b": 2, "a": value})

    first = folder()
    assert first.is_dir()
    assert first == folder() == resume.folder("crop", [source], {"a": 1, "b": 2})
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


def test_done_removes_older_folders_of_the_same_stage(place: Path) -> None:
    folders = [resume.folder(stage, [], {"a": a}) for stage, a in [("crop", 1), ("crop", 2), ("other", 1)]]
    (folders[0] / "part.csv").write_text("x")
    resume.done(folders[1])
    assert [folder.exists() for folder in folders] == [False, False, True]


def test_half_a_removed_folder_is_never_gone_on_with(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise KeyboardInterrupt

    folder = resume.folder("crop", [], {})
    (folder / "part.csv").write_text("x")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(resume.shutil, "rmtree", killed)
        resume.done(folder)
    folder = resume.folder("crop", [], {})
    assert not list(folder.iterdir())
    resume.done(folder)
    assert not list(resume.ROOT.iterdir())
