"""What lies in stages/runtime changes no byte of an output: it is in no stage's deps (tools/deps.py), and a change of
it throws no half-finished work away (stages/runtime/resume.py). For each module these tests show it."""

import pytest
from conftest import ROOT

SHOWN_BY = {
    "engine": [
        "test_sample.test_outputs_do_not_depend_on_the_engine",
        "test_crop.test_each_detector_writes_the_same_bytes_with_each_engine",
        "test_dask.test_every_engine_writes_the_same_bytes",  # crop and resize
        "test_dask.test_a_worker_that_is_killed_changes_no_byte",
        "test_experiments.test_runtime_changes_no_byte",
    ],
    "errors": ["test_params.test_errors_are_one_sentence"],  # it says what went wrong, and the stage stops
    "limits": ["test_limits.test_crop_keeps_its_parts"],  # the outputs are written, and the stage stops
    "params": ["test_params.test_checking_changes_no_value"],
    "replacing": ["test_replacing.test_a_linked_cache_is_not_written_through"],
    "resume": [
        "test_crop.test_killed_run_goes_on",
        "test_interrupted.test_killed_at_twenty_random_moments",
        "test_training.test_killed_run_ends_like_an_uninterrupted_one",
    ],
}


def test_every_module_is_shown_to_change_no_byte() -> None:
    modules = {path.stem for path in (ROOT / "stages/runtime").glob("*.py")} - {"__init__"}
    assert modules == SHOWN_BY.keys()


@pytest.mark.parametrize("name", [name for names in SHOWN_BY.values() for name in names])
def test_the_tests_that_show_it_are_there(name: str) -> None:
    module, test = name.split(".")
    assert f"\ndef {test}(" in (ROOT / f"tests/{module}.py").read_text(encoding="utf-8")
