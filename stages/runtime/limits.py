"""What a stage says of its pictures: how many were found, kept and rejected; and when it gives up over that."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from stages.runtime.errors import UserError


def account(name: str, found: int, kept: int, reasons: Iterable[str] | Mapping[str, int]) -> None:
    """Print how many were found, kept and rejected, and why.

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


def check_share(
    kept: Mapping[str, int],
    rejected: Iterable[tuple[str, str]],
    limit: float,
    table: Path,
    not_damage: Collection[str] = (),
) -> None:
    """Stop if more than the share `limit` of a group was rejected, for reasons other than those in `not_damage`.

    A group has a name, such as that of a split and emotion, so that none can vanish in the mass of the others; all
    pictures together are a group if the caller names one. `kept` is how many of each were kept; `rejected` holds
    (group, reason) pairs, of which those of no group, "", are left out. `table` is where the rejected are listed with
    their reasons, already written.
    """
    damage: dict[str, Counter[str]] = {}
    for group, reason in rejected:
        if group and reason not in not_damage:
            damage.setdefault(group, Counter())[reason] += 1
    for group, reasons in damage.items():
        count = reasons.total()
        found = kept.get(group, 0) + count
        if count > limit * found:
            reason, most = max(sorted(reasons.items()), key=lambda pair: pair[1])
            raise UserError(
                f"{group}: {count:,} of {found:,} rejected, {most:,} of them for the reason '{reason}'; "
                f"limits.max_rejected in params.yaml allows {limit:.0%}. Look at {table.as_posix()}, put right what it "
                "lists or raise the limit, and run the same command again."
            )
