"""Small files that are named, packed and broken as real ones are."""

import hashlib
import json
import struct
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from pydantic import BaseModel

from stages.faces.box import Box
from stages.runtime.params import Runtime
from stages.synthetic.camera import Shot, korean_photo

Section = TypeVar("Section", bound=BaseModel)

BACKGROUND = "교통&이동수단(엘리베이터 포함)"


class RawInfo(zipfile.ZipInfo):
    """A zip entry whose name is just these bytes, without the UTF-8 flag (or with a flag of its own)."""

    raw: bytes
    flag: int

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.raw, self.flag


def write_raw_zip(path: Path, members: Iterable[tuple[bytes, bytes]], flag: int = 0) -> Path:
    """A zip archive with names given as bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, data) in enumerate(members):
            info = RawInfo(str(number))
            info.raw, info.flag = name, flag
            archive.writestr(info, data)
    return path


def write_cp949_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip archive as AI-Hub packs it."""
    return write_raw_zip(path, [(name.encode("cp949"), data) for name, data in members.items()])


def photo_name(person: int = 0, emotion: str = "기쁨", number: int = 1, suffix: str = "jpg", gender: str = "여") -> str:
    """A file name of AI-Hub 82."""
    code = hashlib.sha256(str(person).encode()).hexdigest()
    return f"{code}_{gender}_20_{emotion}_{BACKGROUND}_20201207001407-002-{number:03}.{suffix}"


def label_record(name: str, labels: str | list[str] = "기쁨", boxes: Any = None, **others: Any) -> dict[str, Any]:
    """A label record of AI-Hub 82; `boxes` (left, top, right, bottom) are the same for all annotators."""
    labels = [labels] * 3 if isinstance(labels, str) else labels
    sides = {} if boxes is None else {"boxes": dict(zip(("minX", "minY", "maxX", "maxY"), boxes, strict=True))}
    annotations = {f"annot_{a}": sides | {"faceExp": label} for a, label in zip("ABC", labels, strict=True)}
    return {
        "filename": name,
        "gender": "여",
        "age": 20,
        "isProf": "전문인",
        "faceExp_uploader": name.split("_")[3],
        "bg_uploader": BACKGROUND.replace("&", "/"),
        **annotations,
        **others,
    }


def write_labels(path: Path, records: Iterable[Any]) -> Path:
    """A label file, ASCII with escapes as the real ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(records)), encoding="ascii")
    return path


def exif(orientation: int, order: str = ">") -> bytes:
    """An APP1 segment that holds nothing but the orientation."""
    mark = {">": b"MM\0*", "<": b"II*\0"}[order]
    directory = struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return segment(b"Exif\0\0" + mark + directory)


def segment(body: bytes) -> bytes:
    """An APP1 segment."""
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def jpeg(picture: np.ndarray, header: bytes = b"", quality: int = 92) -> bytes:
    """A JPEG, with `header` right behind its first marker."""
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return data[:2] + header + data[2:]


def face_photo(number: int, faces: tuple[float, ...] = (1.0,)) -> tuple[np.ndarray, Box]:
    """A drawn photo of about 400 x 520 pixels and the box of its face."""
    return korean_photo(1, Shot(number, number, number, "기쁨"), faces, (0.2, 0.3))


def noise(number: int, *shape: int) -> np.ndarray:
    """A picture that no other number gives."""
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def changed(section: Section, **values: Any) -> Section:
    """A section of params.yaml with other values."""
    return section.model_copy(update=values)


def runtime(engine: str, workers: int = 1, address: str | None = None, worker_timeout: int = 60) -> Runtime:
    """The section `runtime:` of params.yaml."""
    values = {"engine": engine, "workers": workers, "address": address, "worker_timeout": worker_timeout}
    return Runtime.model_validate(values)


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and bytes of every file."""
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in root.rglob("*") if p.is_file()}


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
