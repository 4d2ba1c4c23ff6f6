"""How well networks read FER2013's test pictures, in two protocols, calibrated or not, and how long one picture takes.

Untouched: the test folder as the pipeline leaves it, without twins (and train and validation without near twins of it).
Original: the pictures of it that the original project kept, of which it chose its best epoch, too.
People's majority: those untouched of which more than half of FER+'s voters see one of the emotions (--votes TABLE, as
data.ferplus in params.yaml; a picture on which most see no face is then in none of the lines).
Run: python -m benchmarks.accuracy ARCHIVE KEPT [MODEL ...], of Kaggle's FER2013, the original's kept_validation.txt and
.onnx files (else those in weights/); two minutes. Brackets are 95 % intervals over pictures, and the last column is the
mean and the standard deviation over the models: of one recipe with several seeds, for instance.
"""

import contextlib
import tempfile
import timeit
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.measuring import fer2013_command_line, run_stage
from demo.models import Model
from stages.datasets.columns import PEOPLE
from stages.evaluation.bootstrap import Bootstrap, interval
from stages.evaluation.calibration import apply_temperature
from stages.evaluation.reliability import expected_calibration_error
from stages.files.tables import read_table
from stages.runtime import params
from stages.runtime.errors import UserError, run

MERGED = Path("data/csvs/fer2013/merged.csv")
RESAMPLES, SEED = 1000, 1
BATCH = 256
LATENCY_RUNS = 200

Figure = tuple[float, str]  # and how it is printed


class Test(NamedTuple):
    """Pictures uint8 (n, size, size) with their class numbers int (n,), ids, and what most people see (-1: nothing)."""

    pictures: np.ndarray
    label: np.ndarray
    id: np.ndarray
    people: np.ndarray


def main() -> None:
    """Print one table, a column for each model."""
    parser = fer2013_command_line("accuracy", __doc__)
    parser.add_argument("kept", type=Path, metavar="KEPT", help="the original's kept_validation.txt")
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL", help="an .onnx file of ours")
    parser.add_argument("--votes", type=Path, metavar="TABLE", help="FER+'s votes, as data.ferplus in params.yaml")
    arguments = parser.parse_args()
    models = [Model(path) for path in arguments.models or sorted(Path("weights").glob("*.onnx"))]
    if not models:
        raise UserError("There is no .onnx file in weights/; name one.")
    settings = params.load()
    for model in models:
        if (model.card.emotions, model.card.size) != (settings.emotions, settings.image.size):
            raise UserError(f"{model.path} has other emotions or pictures of another size than params.yaml says.")
    with prepared(arguments.archive, arguments.votes) as folder:
        untouched, original = read_untouched(folder), read_kept(folder, arguments.kept)
    print(markdown({model.path.as_posix(): measure(model, untouched, original) for model in models}))


@contextlib.contextmanager
def prepared(archive: Path, votes: Path | None = None) -> Iterator[Path]:
    """A folder in which the stages resize and index have run over the archive, with the table of votes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data/exclude").mkdir(parents=True)
        (folder / "data/exclude/fer2013.txt").touch()
        data = {"fer2013": archive, "ferplus": votes or Path("data/no_votes.csv")}
        for stage in ("resize", "index"):
            run_stage(folder, stage, "fer2013", data={key: str(path.resolve()) for key, path in data.items()})
        yield folder


def read_untouched(folder: Path) -> Test:
    """The test pictures that the pipeline leaves, from a folder of `prepared`."""
    merged = read_table(folder / MERGED)
    return chosen(read_test(folder), merged.loc[merged["split"] == "test", "id"].tolist())


def read_kept(folder: Path, kept: Path) -> Test:
    """The test pictures that the original kept, from the same folder.

    Raises:
        UserError: `kept` names a picture that is not among them.
    """
    test = read_test(folder)
    wanted = {f"test/{line.partition('/')[2].rpartition('.')[0]}": line for line in kept.read_text().split()}
    if missing := wanted.keys() - set(test.id):
        raise UserError(f"{kept} names {wanted[min(missing)]}, which is not a test picture of a used class.")
    return chosen(test, wanted)


def chosen(test: Test, ids: Collection[str]) -> Test:
    """The pictures with these ids."""
    some = np.isin(test.id, list(ids))
    return Test(*(values[some] for values in test))


def read_test(folder: Path) -> Test:
    """All test pictures of the classes that are used."""
    arrays, settings = folder / "data/arrays/fer2013", params.load()
    numbers = {emotion: number for number, emotion in enumerate(settings.emotions)}
    rows, merged = read_table(arrays / "test.csv", "row"), read_table(folder / MERGED).set_index("id")
    label = rows["label"].map(settings.index.fer2013.classes).map(numbers)
    people = rows["id"].map(merged.get(PEOPLE, pd.Series(dtype=str))).map(numbers).fillna(-1).to_numpy(int)
    used = label.notna().to_numpy()
    pictures = np.load(arrays / "test.npy")[rows["row"][used]]
    return Test(pictures, label[used].to_numpy(int), rows["id"][used].to_numpy(), people[used])


def measure(model: Model, untouched: Test, original: Test) -> dict[str, Figure]:
    """Each line of the table."""
    seconds = timeit.repeat(lambda: raw_answer(model, untouched.pictures[:1]), number=1, repeat=LATENCY_RUNS)
    lines = {
        "file, MB": number(model.path.stat().st_size / 1e6, 1),
        "one picture on one core, ms": number(1e3 * float(np.median(seconds)), 2),
    }
    emotions = list(model.card.emotions)
    for title, test in (("untouched", untouched), ("original's", original)):
        raw = raw_answer(model, test.pictures)
        calibrated = apply_temperature(raw, model.card.temperature)
        guess, bootstrap = calibrated.argmax(axis=1), Bootstrap(test.id, RESAMPLES, SEED)
        lines |= by_emotion(title, guess, test.label, emotions, bootstrap)
        if title == "untouched" and (test.people >= 0).any():
            majority = by_emotion("people's majority", guess, test.people, emotions, bootstrap)
            lines |= majority | {"people's majority, balanced": number(balanced(majority), 1)}
        lines[f"{title}, ECE"] = number(expected_calibration_error(test.label, raw), 3)
        lines[f"{title}, ECE scaled"] = number(expected_calibration_error(test.label, calibrated), 3)
    return lines


def raw_answer(model: Model, pictures: np.ndarray) -> np.ndarray:
    """The network's own probabilities float (n, emotions), before calibration."""
    values = pictures[..., np.newaxis].astype(np.float32)
    parts = [values[start : start + BATCH] for start in range(0, len(values), BATCH)]
    return np.concatenate([model.session.run(None, {"picture": part})[0] for part in parts])


def by_emotion(
    title: str, guess: np.ndarray, label: np.ndarray, emotions: Sequence[str], bootstrap: Bootstrap
) -> dict[str, Figure]:
    """The share of right answers among the pictures that have a label (not -1), then among those of each emotion."""
    right, known = guess == label, label >= 0
    lines = {f"{title}, {known.sum():,} pictures": share(right, known, bootstrap)}
    return lines | {f"{title}, {name}": share(right, label == n, bootstrap) for n, name in enumerate(emotions)}


def balanced(lines: dict[str, Figure]) -> float:
    """The mean over the emotions of what `by_emotion` says, percent; its first line is of all pictures."""
    return float(np.mean([value for value, _ in lines.values()][1:]))


def share(right: np.ndarray, some: np.ndarray, bootstrap: Bootstrap) -> Figure:
    """The share of right answers among some pictures, percent, with its interval."""
    low, high = interval(bootstrap.means(right, some))
    value = 100 * right[some].mean()
    return value, f"{value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def number(value: float, digits: int) -> Figure:
    """A figure without an interval."""
    return value, f"{value:.{digits}f}"


def markdown(columns: dict[str, dict[str, Figure]]) -> str:
    """The table."""
    several = len(columns) > 1
    lines = [["", *columns, *["mean ± sd"] * several]]
    lines.append(["---"] * len(lines[0]))
    for name in next(iter(columns.values())):
        values, texts = zip(*(column[name] for column in columns.values()), strict=True)
        spread = [f"{np.mean(values):.3g} ± {np.std(values, ddof=1):.2g}"] if several else []
        lines.append([name, *texts, *spread])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    run(main)
