"""How well networks read FER2013's test pictures, in two protocols, calibrated or not, and how long one picture takes.

Untouched: the test folder as the pipeline leaves it, without twins (and train and validation without near twins of it).
Original: the pictures of it that the original project kept, of which it chose its best epoch, too.
People's majority: those untouched of which more than half of FER+'s voters see one of the emotions (--votes TABLE, as
data.ferplus in params.yaml; a picture on which most see no face is then in none of the lines).
Run: python -m benchmarks.accuracy ARCHIVE KEPT [MODEL ...], of Kaggle's FER2013, the original's kept_validation.txt and
.onnx files (else those in weights/); two minutes. Brackets are 95 % intervals over pictures, and the last column is the
mean and the standard deviation over the models: of one recipe with several seeds, for instance.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.stage import run_stage
from demo.models import Model
from stages.datasets.columns import PEOPLE
from stages.deployment.onnx_runtime import open_session
from stages.evaluation.bootstrap import Bootstrap, interval
from stages.evaluation.reliability import expected_calibration_error
from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import UserError, run

NO_VOTES = Path("data/no_votes.csv")
MERGED = Path("data/csvs/fer2013/merged.csv")
RESAMPLES, SEED = 1000, 1
BATCH = 256
LATENCY_RUNS = 200


class Test(NamedTuple):
    """Pictures uint8 (n, size, size) with their class numbers int (n,), ids, and what most people see (-1: nothing)."""

    pictures: np.ndarray
    label: np.ndarray
    id: np.ndarray
    people: np.ndarray


def main() -> None:
    """Print one table, a column for each model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="FER2013 as Kaggle has it")
    parser.add_argument("kept", type=Path, metavar="KEPT", help="the original's kept_validation.txt")
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL", help="an .onnx file of ours")
    parser.add_argument("--votes", type=Path, metavar="TABLE", help="FER+'s votes, as data.ferplus in params.yaml")
    arguments = parser.parse_args()
    paths = arguments.models or sorted(Path("weights").glob("*.onnx"))
    models = {path: Model(path) for path in paths}
    settings = params.load()
    emotions, size = settings.emotions, settings.image.size
    for path, model in models.items():
        if (model.card.emotions, model.card.size) != (emotions, size):
            raise UserError(f"{path} has other emotions or pictures of another size than params.yaml says.")
    if not models:
        raise UserError("There is no .onnx file in weights/; name one.")
    with tempfile.TemporaryDirectory() as name:
        prepare(arguments.archive.resolve(), (arguments.votes or NO_VOTES).resolve(), Path(name))
        untouched, original = read_untouched(Path(name)), read_kept(Path(name), arguments.kept)
    columns = {path.as_posix(): measure(model, path, untouched, original) for path, model in models.items()}
    print(markdown(columns))


def prepare(archive: Path, votes: Path, folder: Path) -> None:
    """Run the stages resize and index over the archive, with the table of votes, in `folder`."""
    (folder / "data/exclude").mkdir(parents=True)
    (folder / "data/exclude/fer2013.txt").touch()
    for stage in ("resize", "index"):
        run_stage(folder, stage, "fer2013", data={"fer2013": str(archive), "ferplus": str(votes)})


def read_untouched(folder: Path) -> Test:
    """The test pictures that the pipeline leaves, from the `folder` that `prepare` has filled."""
    merged = read_table(folder / MERGED)
    return read_test(folder, set(merged.loc[merged["split"] == "test", "id"]))


def read_kept(folder: Path, kept: Path) -> Test:
    """The test pictures that the original kept, from the same folder.

    Raises:
        UserError: `kept` names a picture that is not among them.
    """
    test = read_test(folder, None)
    wanted = {f"test/{line.partition('/')[2].rpartition('.')[0]}": line for line in kept.read_text().split()}
    if missing := wanted.keys() - set(test.id):
        raise UserError(f"{kept} names {wanted[min(missing)]}, which is not a test picture of a used class.")
    return read_test(folder, set(wanted))


def read_test(folder: Path, ids: set[str] | None) -> Test:
    """The test pictures with these `ids`; None for all of the classes that are used."""
    arrays = folder / "data/arrays/fer2013"
    settings = params.load()
    emotions, classes = list(settings.emotions), settings.index.fer2013.classes
    merged = read_table(folder / MERGED).set_index("id")
    people = merged[PEOPLE] if PEOPLE in merged else pd.Series("", index=merged.index)
    rows = read_table(arrays / "test.csv")
    rows = rows[
        [
            classes[label] is not None and (ids is None or id_ in ids)
            for label, id_ in zip(rows["label"], rows["id"], strict=True)
        ]
    ]
    label = np.array([emotions.index(str(classes[label])) for label in rows["label"]])
    seen = [emotions.index(emotion) if emotion else -1 for emotion in people.reindex(rows["id"], fill_value="")]
    pictures = np.load(arrays / "test.npy")[rows["row"].astype(int)]
    return Test(pictures, label, rows["id"].to_numpy(), np.array(seen))


def measure(model: Model, path: Path, untouched: Test, original: Test) -> dict[str, tuple[float, str]]:
    """Each line of the table: the figure and how it is printed."""
    lines = {
        "file, MB": number(path.stat().st_size / 1e6, 1),
        "one picture on one core, ms": number(latency(path, untouched.pictures[:1]), 2),
    }
    for title, test in (("untouched", untouched), ("original's", original)):
        calibrated = predict(model.predict, test.pictures)
        raw = predict(lambda some: np.asarray(model.session.run(None, {"picture": as_input(some)})[0]), test.pictures)
        bootstrap = Bootstrap(test.id, RESAMPLES, SEED)
        right = calibrated.argmax(axis=1) == test.label
        everywhere = np.ones(len(right), bool)
        lines[f"{title}, {len(right):,} pictures"] = share(right, everywhere, bootstrap)
        for place, emotion in enumerate(model.card.emotions):
            lines[f"{title}, {emotion}"] = share(right, test.label == place, bootstrap)
        if title == "untouched" and (test.people >= 0).any():
            agreed, seen = test.people >= 0, calibrated.argmax(axis=1) == test.people
            lines[f"people's majority, {agreed.sum():,} pictures"] = share(seen, agreed, bootstrap)
            for place, emotion in enumerate(model.card.emotions):
                lines[f"people's majority, {emotion}"] = share(seen, test.people == place, bootstrap)
            recalls = [seen[test.people == place].mean() for place in range(len(model.card.emotions))]
            lines["people's majority, balanced"] = number(100 * float(np.mean(recalls)), 1)
        lines[f"{title}, ECE"] = number(expected_calibration_error(test.label, raw), 3)
        lines[f"{title}, ECE scaled"] = number(expected_calibration_error(test.label, calibrated), 3)
    return lines


def predict(answer: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """The probabilities of all pictures."""
    return np.concatenate([answer(pictures[start : start + BATCH]) for start in range(0, len(pictures), BATCH)])


def as_input(pictures: np.ndarray) -> np.ndarray:
    """Pictures as the network takes them, float32 (n, size, size, 1)."""
    return pictures[..., np.newaxis].astype(np.float32)


def latency(path: Path, picture: np.ndarray) -> float:
    """Milliseconds for one picture on one core, the median."""
    session, times = open_session(path), []
    for _ in range(LATENCY_RUNS):
        start = time.perf_counter()
        session.run(None, {"picture": as_input(picture)})
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def share(right: np.ndarray, some: np.ndarray, bootstrap: Bootstrap) -> tuple[float, str]:
    """The share of right answers among some pictures, percent, with its interval."""
    low, high = interval(bootstrap.means(right, some))
    value = 100 * right[some].mean()
    return value, f"{value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def number(value: float, digits: int) -> tuple[float, str]:
    """A figure, and how it is printed."""
    return value, f"{value:.{digits}f}"


def markdown(columns: dict[str, dict[str, tuple[float, str]]]) -> str:
    """The table."""
    several = len(columns) > 1
    heading = ["", *columns, *(["mean ± sd"] if several else [])]
    lines = [heading, ["---"] * len(heading)]
    for name in next(iter(columns.values())):
        cells = [column[name] for column in columns.values()]
        values = [value for value, _ in cells]
        spread = [f"{np.mean(values):.3g} ± {np.std(values, ddof=1):.2g}"] if several else []
        lines.append([name, *(text for _, text in cells), *spread])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    run(main)
