"""What stands in the columns of the tables: names of splits, groups in place of people, people's votes."""

from collections.abc import Iterable

SPLITS = ("train", "validation", "test")  # ours, whatever the data set's own; of twins, the copy in a later one stays
EXTRA = "extra"  # in place of train: faces of `extra_classes`, which pretrain alone is shown
OFFICIAL = ("training", "validation")  # those of AI-Hub 82

# In merged.csv, of pictures on which people voted.
PEOPLE = "people"  # the emotion that more than half of them saw; "" for none
TARGET = "target_"  # and a class: its probability in what a network is to say of a training face

# Where nobody says who is on a picture, the groups of `cleaning.near_duplicate_groups` stand for people.
GROUP = "~"  # in place of a person's name: a group of near-duplicates, which may be one of several of the same person
INFLATED = "people unknown: some may be in several splits, and the figures too high"


def people_known(persons: Iterable[str]) -> bool:
    """Whether a column `person` names people."""
    return not any(person.startswith(GROUP) for person in persons)
