"""Stop a change that makes a model worse: fail if an emotion is recognised less often than before by more than a limit.

Either model's recall and precision of each emotion count, on either test set: little taken from each of the others is
much for a rare emotion's precision.
Run: dvc metrics diff --json REVISION | python -m tools.gate
"""

import json
import sys
from typing import Any

from stages.runtime import params
from stages.runtime.errors import UserError, require, run
from tools.table import METRICS

FIGURES = ("recall", "precision")


def main() -> None:
    """Read the differences from standard input; stop, naming each emotion that fell too far."""
    limit = params.load().limits.max_drop
    try:
        changed = json.load(sys.stdin)
    except json.JSONDecodeError:
        raise UserError(
            "standard input is no JSON; run `dvc metrics diff --json REVISION | python -m tools.gate`, "
            "with a revision that this clone has."
        ) from None
    require(METRICS)
    found = falls(changed.get(METRICS.as_posix(), {}), limit)
    if found:
        raise UserError(
            f"{'; '.join(found)}. limits.max_drop in params.yaml allows {100 * limit:g} points; find out why,"
            " or raise it."
        )
    print(f"No emotion's {' or '.join(FIGURES)} fell by more than {100 * limit:g} points.")


def falls(changed: dict[str, Any], limit: float) -> list[str]:
    """A phrase for each figure of an emotion that fell by more than `limit` or is gone.

    `changed` maps each changed metric, such as korean.after.happy.recall, to its values `old` and `new`, as
    `dvc metrics diff --json` does; one of them may be missing.
    """
    found = []
    # DVC's own order varies from run to run.
    for name, values in sorted(changed.items()):
        dataset, model, *rest = name.split(".")
        old, new = values.get("old"), values.get("new")
        if len(rest) != 2 or rest[1] not in FIGURES or old is None:
            continue
        emotion, figure = rest
        what = f"{figure} of {emotion} ({dataset}, {model} transfer)"
        if new is None:
            found.append(f"{what} is gone")
        # The figures have six digits; a fall by just the limit is allowed.
        elif round(old - new, 6) > limit:
            found.append(f"{what} fell from {old:.1%} to {new:.1%}")
    return found


if __name__ == "__main__":
    run(main)
