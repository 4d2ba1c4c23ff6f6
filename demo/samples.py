"""Sample pictures for the page: drawn faces of invented people, none of whom is in the drawn data sets."""

import functools

from stages.files.images import encode_jpeg
from stages.synthetic.camera import Shot, korean_photo

SEED = 2024  # another than sample.seed in params.yaml: other people
MEGAPIXELS = 0.3, 0.4
QUALITY = 92  # JPEG
# The word for the emotion, and the sizes of the faces.
PICTURES: list[tuple[str, tuple[float, ...]]] = [
    ("기쁨", (1.0,)),
    ("슬픔", (1.0, 0.85)),
    ("분노", (1.0,)),
    ("당황", (1.0,)),
]


@functools.lru_cache
def sample(number: int) -> bytes:
    """Sample picture `number`, from 0 below `len(PICTURES)`, as JPEG."""
    emotion, faces = PICTURES[number]
    picture, _ = korean_photo(SEED, Shot(number, number, number, emotion), faces, MEGAPIXELS)
    return encode_jpeg(picture, QUALITY)
