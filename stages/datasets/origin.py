"""Are the faces of a data set photos, or did the stage `sample` draw them?"""

from pathlib import Path, PurePosixPath

from stages.files import archives
from stages.files.tables import read_table


def drawn(dataset: str) -> bool:
    """Whether every face of a data set is one that the stage `sample` drew."""
    sample = Path("data/sample") / dataset
    if not sample.exists():
        return False
    names = {PurePosixPath(entry.path).name for entry in archives.walk(sample)}
    paths = read_table(Path("data/csvs") / dataset / "merged.csv")["path"]
    return all(PurePosixPath(path).name in names for path in paths)
