"""What a stage says of its pictures: how many were found, kept and rejected; and when it gives up over that."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.runtime.errors import UserError


def account(name: str, found: int, kept: int, reasons: Iterable[str] | Mapping[str, int]) -> dict[str, Any]:
    """Print and return `{"found", "kept", "rejected": {reason: count}}`.

    `reasons` holds one item for each rejection, or says how many there are of each reason.

    Raises:
        RuntimeError: found is not kept + rejected, which would be a fault of ours.
    """
    rejected = dict(sorted(Counter(reasons).items()))
    if found != kept + sum(rejected.values()):
        raise RuntimeError(f"{name}: {found} found, but {kept} kept and {sum(rejected.values())} rejected")
    print(f"{name}: {found:,} found = {kept:,} kept + {sum(rejected.values()):,} rejected")
    for reason, count in rejected.items():
        print(f"  {count:,} {reason}")
    return {"found": found, "kept": kept, "rejected": rejected}


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


def check_groups(
    kept: Mapping[str, int],
    rejected: Iterable[tuple[str, str]],
    limit: float,
    table: Path,
    not_damage: Collection[str] = (),
) -> None:
    """`check_share` for each group, such as a split and emotion, so that none can vanish in the mass of the others.

    `kept` is how many of each were kept; `rejected` holds (group, reason) pairs, of which those of no group, "", are
    left out.
    """
    reasons: dict[str, Counter[str]] = {}
    for group, reason in rejected:
        if group:
            reasons.setdefault(group, Counter())[reason] += 1
    for group, counts in reasons.items():
        check_share(group, {"kept": kept.get(group, 0), "rejected": counts}, limit, table, not_damage)
