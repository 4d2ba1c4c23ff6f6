from pathlib import Path

import pandas as pd
import pytest

from stages.files import metrics, tables
from stages.runtime.errors import UserError
from stages.runtime.limits import account, check_share

TEXTS = [
    "",
    "NA",
    "nan",
    "007",
    "1e5",
    "True",
    " space ",
    'quo"te',
    "com,ma",
    "new\nline",
    "\r",
    "a\rb",
    "a\r\nb",
    "기쁨",
    "😀",
    "\udcb1\udce2.jpg",
]


def test_texts_pass_through_unchanged(place) -> None:
    table = pd.DataFrame({"path": TEXTS, "number": range(len(TEXTS))})
    tables.write_table(table, place / "new/a.csv")
    back = tables.read_table(place / "new/a.csv", "number")
    assert back["path"].tolist() == TEXTS
    assert back["number"].tolist() == list(range(len(TEXTS)))
    assert pd.api.types.is_integer_dtype(back["number"])


def test_bytes_are_the_same_everywhere(place) -> None:
    table = pd.DataFrame({"a": ["기", None], "b": [1.5, 2.0], "c": pd.array([1, None], dtype="Int64")})
    tables.write_table(table, place / "a.csv")
    assert (place / "a.csv").read_bytes() == "a,b,c\n기,1.5,1\n,2.0,\n".encode()


def test_empty_table(place) -> None:
    tables.write_table(pd.DataFrame(columns=["id", "row"]), place / "a.csv")
    back = tables.read_table(place / "a.csv", "row")
    assert (list(back), len(back)) == (["id", "row"], 0)


def test_missing_table_says_what_to_do(place) -> None:
    with pytest.raises(UserError, match=r"b\.csv is missing; run `dvc repro`"):
        tables.read_table(place / "b.csv")


def test_account(capsys) -> None:
    account("photos", 4, 1, ["too small", "broken", "too small"])
    assert capsys.readouterr().out == "photos: 4 found = 1 kept + 3 rejected\n  1 broken\n  2 too small\n"


@pytest.mark.parametrize(("found", "kept"), [(5, 1), (3, 1), (4, 2)])
def test_an_account_that_does_not_add_up_is_a_fault(found: int, kept: int) -> None:
    with pytest.raises(RuntimeError, match=f"photos: {found} found, but {kept} kept and 3 rejected"):
        account("photos", found, kept, ["a", "b", "c"])


def test_too_many_rejected() -> None:
    kept = {"photos": 6}
    lost = [("photos", reason) for reason in ("broken", "not used", "not used", "small")] + [("", "broken")]
    listed = Path("data/rejected.csv")
    check_share(kept, lost, 0.25, listed, ["not used"])  # 2 of 8
    with pytest.raises(UserError) as caught:
        check_share(kept, lost, 0.24, listed, ["not used"])
    assert str(caught.value).startswith("photos: 2 of 8 rejected, 1 of them for the reason 'broken'; ")
    assert "limits.max_rejected in params.yaml allows 24%. Look at data/rejected.csv, " in str(caught.value)
    with pytest.raises(UserError, match=r"4 of 10 rejected, 2 of them for the reason 'not used'"):
        check_share(kept, lost, 0.39, listed)
    with pytest.raises(UserError, match=r"training sad: 1 of 1 rejected"):
        check_share(kept, [*lost, ("training sad", "broken")], 0.5, listed)
    check_share({"none": 0}, [], 0, listed)


def test_metrics_file(place) -> None:
    metrics.write_metrics({"기쁨": {"b": 1, "a": 2}}, place / "metrics/x.json")
    expected = '{\n  "기쁨": {\n    "b": 1,\n    "a": 2\n  }\n}\n'
    assert (place / "metrics/x.json").read_text(encoding="utf-8") == expected
