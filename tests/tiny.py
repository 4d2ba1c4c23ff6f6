"""Make a params.yaml small: the whole pipeline then runs in about a minute. Run: python -m tests.tiny params.yaml"""

import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TINY: dict[str, dict[str, Any]] = {
    "sample": {"fer_train": 200, "fer_test": 100, "people": 30, "shots": 1}
    | {"megapixels_low": 0.1, "megapixels_high": 0.2},
    "model": {"blocks": [[4], [8]]},
    "pretrain": {"epochs": 2},
    "finetune": {"epochs": 2},
    "evaluate": {"resamples": 200, "group_people": 3},
    "robustness": {"faces": 100},
}


def shrink(path: Path) -> None:
    yaml = YAML()
    params = yaml.load(path.read_text(encoding="utf-8"))
    for name, values in TINY.items():
        for key, value in values.items():
            assert key in params[name], f"{path} has no {name}.{key}"
            params[name][key] = value
    # One emotion a session: each person then shows all of them.
    params["sample"]["sessions"] = len(params["emotions"])
    with open(path, "w", encoding="utf-8") as file:
        yaml.dump(params, file)


if __name__ == "__main__":
    shrink(Path(sys.argv[1]))
