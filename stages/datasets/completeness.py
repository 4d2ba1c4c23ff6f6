"""Is a download of AI-Hub 82 whole enough to go on with? Cropping takes hours, so it is asked before."""

from collections.abc import Mapping
from pathlib import Path

from stages.datasets.annotators import EMOTIONS, UNDECIDED
from stages.datasets.columns import OFFICIAL
from stages.datasets.manifest import Photos
from stages.files import archives
from stages.files.archives import Entry
from stages.files.formats import first_of
from stages.runtime.errors import UserError


def check_archives(root: Path, photos: list[Entry], limit: float) -> None:
    """Stop if an archive's directory is whole and more than the share `limit` of its photos is not.

    An archive that was joined in the wrong order, or overwritten in its middle, otherwise shows in `crop` alone.
    """
    members: dict[str, list[Entry]] = {}
    for photo in photos:
        if photo.number >= 0 and not photo.problem:
            members.setdefault(photo.archive, []).append(photo)
    for archive, own in members.items():
        damaged, tried = archives.damaged_members(root, own)
        if len(damaged) > limit * tried:
            raise UserError(
                f"{archive or root.name} is damaged: {len(damaged)} of the {tried} photos tried in it cannot be read, "
                f"such as {damaged[0].path}. Fetch it again, join its pieces in the order of their numbers, or move it "
                f"out of {root}."
            )


def check_emotions(photos: Photos, emotions: Mapping[str, str]) -> None:
    """Stop if an emotion has no photo."""
    for emotion, korean in emotions.items():
        if not any(photos.rows[split, emotion] for split in OFFICIAL):
            raise UserError(
                f"data.korean has no photo of {emotion} ({korean}): its archives are missing or damaged. Fetch them, "
                "or take it out of `emotions` in params.yaml and of the matrix of `crop` in dvc.yaml."
            )


def check_labels(photos: Photos, emotions: Mapping[str, str], limit: float) -> None:
    """Stop if the uploader's labels of more than the share `limit` of a split and emotion are no words of AI-Hub 82."""
    known = {*emotions, *EMOTIONS, UNDECIDED}
    for split, emotion in photos.rows:
        labels = photos.column("uploader", split, emotion)
        unknown = [label for label in labels if label not in known]
        if len(unknown) > limit * len(labels):
            raise UserError(
                f"{split} {emotion}: {len(unknown):,} of {len(labels):,} photos have a label that is not an emotion of "
                f"AI-Hub 82, such as {unknown[0]!r}; fetch the label archive again."
            )


def check_photos(photos: Photos, limit: float) -> None:
    """Stop if more than the share `limit` of the label records of a split and emotion has no photo."""
    for group, expected in photos.expected.items():
        missing = expected - sum(photos.column("labelled", *group))
        if missing > limit * expected:
            found = zip(photos.column("archive", *group), photos.column("path", *group), strict=True)
            places = sorted({archive or path.rpartition("/")[0] or "." for archive, path in found})
            lie = f"Its photos lie in {first_of(places)}" if places else "No archive holds any of its photos"
            raise UserError(
                f"{' '.join(group)}: {missing:,} of {expected:,} label records have no photo; "
                f"limits.max_without_photo in params.yaml allows {limit:.0%}. {lie}: the others of its "
                "archives are missing or damaged. Fetch them, or raise the limit to go on with what is there."
            )


def check_table(photos: Photos, limit: float) -> None:
    """Stop if more than the share `limit` of the rows of a table of photos (`class_folders`) has no photo."""
    found, missing = photos.labels.get("found", 0), photos.labels.get("without_photo", 0)
    if not photos.expected and missing > limit * found:
        raise UserError(
            f"{missing:,} of {found:,} rows of the table have no photo; limits.max_without_photo in params.yaml allows "
            f"{limit:.0%}. Write the photos' paths as they are into its column `file`, or raise the limit."
        )
