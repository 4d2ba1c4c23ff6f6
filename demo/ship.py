"""Copy models to weights/, where the demo of every clone finds them, and write the git revision into the copies.

The pipeline itself leaves the revision out: the same input must give the same bytes after each commit.
Run: python -m demo.ship data/export/before.onnx data/export/after.onnx
"""

import argparse
import subprocess
from pathlib import Path

import onnx

from demo.models import FOLDERS, Model
from stages.common.errors import UserError, run
from stages.common.model_card import to_texts

WEIGHTS = FOLDERS[-1]


def main() -> None:
    """Copy the models that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m demo.ship", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="an .onnx of the export stage")
    for path in parser.parse_args().models:
        print(ship(path, revision()))


def revision() -> str:
    """The commit that is checked out.

    Raises:
        UserError: files differ from it, so that nobody could make the models again from it.
    """
    changed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, check=True, encoding="utf-8").stdout
    if changed:
        raise UserError(
            "Files differ from the last commit; commit them first, as the commit is written into the model."
        )
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=True, encoding="utf-8")
    return head.stdout.strip()


def ship(path: Path, commit: str) -> Path:
    """Write the copy of one model, with `commit` in its provenance; return its path."""
    card = Model(path).card
    model = onnx.load_model_from_string(path.read_bytes())
    card = card._replace(provenance=card.provenance | {"git": commit})
    onnx.helper.set_model_props(model, to_texts(card))
    WEIGHTS.mkdir(exist_ok=True)
    copy = WEIGHTS / path.name
    copy.write_bytes(model.SerializeToString(deterministic=True))
    return copy


if __name__ == "__main__":
    run(main)
