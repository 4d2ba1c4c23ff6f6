"""Where nobody says who is on a picture, the groups of `cleaning.near_duplicate_groups` stand for people."""

from collections.abc import Iterable

GROUP = "~"  # in place of a person's name: a group of near-duplicates, which may be one of several of the same person
INFLATED = "people unknown: some may be in several splits, and the figures too high"


def people_known(persons: Iterable[str]) -> bool:
    """Whether a column `person` names people."""
    return not any(person.startswith(GROUP) for person in persons)
