"""When a stage gives up: more was rejected than `limits:` in params.yaml allows."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from stages.runtime.errors import UserError


def check_share(name: str, counts: dict[str, Any], limit: float, table: Path, not_damage: Collection[str] = ()) -> None:
    """Stop if more than the share `limit` was rejected, for reasons other than those in `not_damage`.

    `counts` is as `account` returns it; `table` is where the rejected are listed with their reasons, already written.
    """
    damage = {reason: count for reason, count in counts["rejected"].items() if reason not in not_damage}
    rejected = sum(damage.values())
    found = counts["kept"] + rejected
    if rejected > limit * found:
        reason = max(damage, key=lambda reason: damage[reason])
        raise UserError(
            f"{name}: {rejected:,} of {found:,} rejected, {damage[reason]:,} of them for the reason '{reason}'; "
            f"limits.max_rejected in params.yaml allows {limit:.0%}. Look at {table.as_posix()}, put right what it "
            "lists or raise the limit, and run the same command again."
        )
