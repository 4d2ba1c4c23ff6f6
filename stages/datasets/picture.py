"""One picture of a data set, as its reader finds it."""

from dataclasses import dataclass

from stages.files.archives import Entry


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a face, and where its pixels are: an entry below the data set's root, or all grey values."""

    split: str  # one of the data set's own: the array that it goes into
    label: str  # as the data set has it; "" if it does not say
    id: str  # the same on every machine; <split>/<label>/<name> where the picture's folders are all that is known
    path: str  # where a person would look for it
    source: Entry | bytes
