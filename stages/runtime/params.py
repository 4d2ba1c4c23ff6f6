"""params.yaml: what each value may be, checked as a whole before a stage begins. Meanings are documented there.

A checked value equals what stands in params.yaml; where a float is asked for, a whole number becomes one. A stage works
with these values or stops with one sentence. It takes what it needs as `params.load().crop`; the literal names let
tests/test_params.py hold code, dvc.yaml and params.yaml against each other.
"""

import difflib
import json
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.runtime.errors import UserError

FILE = Path("params.yaml")

Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Dropout = Annotated[float, Field(ge=0, le=0.9)]
Megapixels = Annotated[float, Field(ge=0.01, le=1000)]
Megabytes = Annotated[float, Field(ge=0.01, le=1000)]
Percent = Annotated[int, Field(ge=1, le=100)]

# What files, columns and metrics beside those of the emotions are called.
RESERVED_NAMES = ("accuracy", "all", "merged", "people", "people_balanced", "rejected", "unsure")
# Names of earlier versions, and what they are called now (CHANGELOG.md).
RENAMED = {
    "limits.rejected": "limits.max_rejected",
    "limits.fall": "limits.max_drop",
    "crop.scale_step": "crop.scale_factor",
    "crop.neighbors": "crop.min_neighbors",
    "index.fer2013.twins": "index.fer2013.duplicates",
    "index.fer2013.near_twin": "index.fer2013.near_duplicate",
    "model.view": "model.input_size",
    "augment.erase": "augment.random_erasing",
    "pretrain.taught": "pretrain.teacher_share",
    "pretrain.balance": "pretrain.class_weight_power",
    "finetune.taught": "finetune.teacher_share",
    "finetune.balance": "finetune.class_weight_power",
    "finetune.kept_weights": "finetune.wise_ft",
}


class Section(BaseModel):
    """Values that belong together: no key more or fewer, and no conversion but of whole numbers to floats."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Runtime(Section):
    """`runtime:`"""

    engine: Literal["serial", "processes", "dask"]
    workers: int = Field(ge=0, le=1024)
    worker_timeout: int = Field(ge=1, le=86_400)
    address: Text | None


class Limits(Section):
    """`limits:`"""

    max_rejected: Share
    max_without_photo: Share
    max_drop: Share


class Sample(Section):
    """`sample:`"""

    seed: Seed
    fer_train: int = Field(ge=100, le=10_000_000)
    fer_test: int = Field(ge=100, le=10_000_000)
    people: int = Field(ge=10, le=1_000_000)
    sessions: int = Field(ge=1, le=100)
    shots: int = Field(ge=1, le=100)
    megapixels_low: float = Field(ge=0.02, le=12)
    megapixels_high: float = Field(ge=0.02, le=12)

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.megapixels_low > self.megapixels_high:
            raise ValueError("sample.megapixels_low is above sample.megapixels_high; lower it")
        return self


class Rename(Section):
    """`rename:`"""

    max_megabytes: Megabytes
    differing_records: Literal["stop", "reject"]


class Crop(Section):
    """`crop:`"""

    input: Literal["photo", "face"]
    detector: Literal["haar", "yunet"]
    detect_side: int = Field(ge=64, le=4096)
    cascade: Text
    scale_factor: float = Field(ge=1.01, le=2)
    min_neighbors: int = Field(ge=0, le=100)
    confidence: float = Field(ge=0.01, le=1)
    smallest_face: float = Field(ge=0.01, le=1)
    min_overlap: Share
    margin: float = Field(ge=-0.4, le=2)
    size: int = Field(ge=16, le=2048)
    quality: int = Field(ge=1, le=100)
    max_megapixels: Megapixels


class Image(Section):
    """`image:`"""

    size: int = Field(ge=8, le=1024)
    max_megapixels: Megapixels
    max_megabytes: Megabytes


class Pictures(Section):
    """A data set of pictures in class folders, under `index:`"""

    classes: dict[str, Text | None]
    duplicates: Literal["remove", "keep"]
    near_duplicate: float = Field(ge=0.5, le=1)
    validation: float = Field(ge=0.001, le=0.9)
    seed: Seed


class Fer2013(Pictures):
    """FER2013, under `index:`"""

    votes: Share
    extra_classes: list[Text]

    @model_validator(mode="after")
    def _extra(self) -> Self:
        if wrong := [name for name in self.extra_classes if self.classes.get(name, name) is not None]:
            raise ValueError(
                f"index.fer2013.extra_classes names {wrong[0]}, which must be a class of FER2013 that is null under "
                "index.fer2013.classes"
            )
        if len(set(self.extra_classes)) < len(self.extra_classes):
            raise ValueError("index.fer2013.extra_classes names a class twice; name each once")
        return self


class People(Section):
    """A data set of people with several photos each, under `index:`"""

    label: Literal["uploader", "majority"]
    split: Literal["person", "official"]
    validation: float = Field(ge=0.001, le=0.5)
    test: float = Field(ge=0.001, le=0.5)
    seed: Seed
    people: Share
    near_duplicate: float = Field(ge=0.5, le=1)


class Index(Section):
    """`index:`, an entry for each data set."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Pictures]

    fer2013: Fer2013
    korean: People

    def of(self, dataset: str) -> Pictures | People:
        """The entry of a data set."""
        return dict(self)[dataset]  # type: ignore[no-any-return]


class Model(Section):
    """`model:`"""

    input_size: int = Field(ge=8, le=1024)
    blocks: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1)]], Field(min_length=1)
    ]
    first_padding: Literal["same", "valid"]
    dropout_odd: Dropout
    dropout_even: Dropout
    dropout_head: Dropout
    head: Literal["average", "flatten"]
    dense: list[Annotated[int, Field(ge=1, le=8192)]]
    norm_momentum: float = Field(ge=0, le=0.9999)
    threads: int = Field(ge=1, le=256)
    precision: Literal["float32", "mixed_bfloat16"]
    mirror: bool

    @model_validator(mode="after")
    def _depth(self) -> Self:
        left = self.input_size - 2 if self.first_padding == "valid" else self.input_size
        if left < 2 ** len(self.blocks):
            raise ValueError(
                f"model.blocks has {len(self.blocks)} blocks, each of which halves the picture, and model.input_size "
                f"{self.input_size} is too small for that; use fewer blocks or a larger input"
            )
        return self


class Augment(Section):
    """`augment:`"""

    rotation: float = Field(ge=0, le=180)
    shear: float = Field(ge=0, le=45)
    shift: float = Field(ge=0, le=0.5)
    zoom: float = Field(ge=0, le=0.5)
    flip: Share
    blur: float = Field(ge=0, le=10)
    light: Share
    noise: float = Field(ge=0, le=255)
    random_erasing: Share


class Recipe(Section):
    """What `pretrain:` and `finetune:` have in common."""

    teacher_share: Share
    seed: Seed
    batch_size: int = Field(ge=1, le=4096)
    epochs: int = Field(ge=1, le=10_000)
    patience: int = Field(ge=1, le=10_000)
    lr: Share
    warmup: float = Field(ge=0, le=100)
    weight_decay: Share
    label_smoothing: float = Field(ge=0, le=0.5)
    mixup: float = Field(ge=0, le=10)
    class_weight_power: Share


class Pretrain(Recipe):
    """`pretrain:`"""

    weights: Text | None
    teachers: list[Text]

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.teachers)) < len(self.teachers):
            raise ValueError("pretrain.teachers names a network twice; name each once")
        return self


class Finetune(Recipe):
    """`finetune:`"""

    start: Literal["pretrain", "scratch"]
    wise_ft: Share
    rehearsal: float = Field(ge=0, le=0.99)
    frozen_blocks: int = Field(ge=0, le=20)
    frozen_batchnorm: bool

    @model_validator(mode="after")
    def _batch(self) -> Self:
        rehearsed = round(self.batch_size * self.rehearsal)  # as stages/transfer.py does
        if rehearsed == self.batch_size:
            raise ValueError("finetune.rehearsal leaves no Korean image in a batch; lower it")
        if self.rehearsal and not rehearsed:
            raise ValueError("finetune.rehearsal is too little for one image in a batch; raise it, or set it to 0")
        return self

    @model_validator(mode="after")
    def _scratch(self) -> Self:
        transferred = self.wise_ft or self.teacher_share or self.frozen_blocks or self.frozen_batchnorm
        if self.start == "scratch" and transferred:
            raise ValueError(
                "with finetune.start scratch set finetune.wise_ft, finetune.teacher_share and finetune.frozen_blocks "
                "to 0 and finetune.frozen_batchnorm to false"
            )
        return self


class Report(Section):
    """`report:`"""

    population: Text


class Evaluate(Section):
    """`evaluate:`"""

    seed: Seed
    resamples: int = Field(ge=100, le=10_000)
    group_people: int = Field(ge=1, le=1_000_000)


class Robustness(Section):
    """`robustness:`"""

    seed: Seed
    faces: int = Field(ge=1, le=10_000_000)
    blur: list[Percent]
    light: list[Percent]
    noise: list[Annotated[int, Field(ge=1, le=255)]]
    jpeg: list[Percent]
    rotation: list[Annotated[int, Field(ge=1, le=180)]]
    size: list[Percent]


class Export(Section):
    """`export:`"""

    unsure: Share
    smoothing: float = Field(ge=0, le=10)
    same_face: float = Field(ge=0.01, le=1)
    forget: float = Field(ge=0, le=60)


class Params(Section):
    """All of params.yaml."""

    emotions: Annotated[dict[Text, Text], Field(min_length=2)]
    data: dict[Text, Text]
    runtime: Runtime
    limits: Limits
    sample: Sample
    rename: Rename
    crop: Crop
    image: Image
    index: Index
    model: Model
    augment: Augment
    pretrain: Pretrain
    finetune: Finetune
    evaluate: Evaluate
    robustness: Robustness
    report: Report
    export: Export

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name in self.emotions:
            if name in RESERVED_NAMES or not re.fullmatch(r"[\w-]+", name):
                raise ValueError(
                    f"emotions has the name {name!r}, which cannot name files and columns; use letters, digits, - and "
                    f"_, and none of {', '.join(RESERVED_NAMES)}"
                )
        if len(set(self.emotions.values())) < len(self.emotions):
            raise ValueError("emotions names a Korean word twice; each stands for one class")
        sets = dict(self.index)
        if "ferplus" not in self.data:
            raise ValueError("data.ferplus is missing; set it to data/no_votes.csv for none")
        if unknown := sorted((self.data.keys() - {"ferplus"}) ^ sets.keys()):
            raise ValueError(f"`data:` and `index:` must name the same data sets; {unknown[0]} is in one of them alone")
        for name, place in self.data.items():
            if place.startswith(("~", "$")):
                raise ValueError(f"data.{name} is {place}, which DVC does not expand; write the whole path")
        for name, section in sets.items():
            classes = section.classes.values() if isinstance(section, Pictures) else ()
            if unknown := sorted({emotion for emotion in classes if emotion} - self.emotions.keys()):
                raise ValueError(f"index.{name}.classes names {', '.join(unknown)}, which `emotions:` does not have")
        if taken := sorted(set(self.index.fer2013.extra_classes) & self.emotions.keys()):
            raise ValueError(f"index.fer2013.extra_classes names {taken[0]}, which is one of `emotions:`; take it out")
        if self.pretrain.teachers and self.index.fer2013.extra_classes:
            raise ValueError("pretrain.teachers know nothing of index.fer2013.extra_classes; set one of the two to []")
        if self.model.input_size > self.image.size:
            raise ValueError(
                f"model.input_size is {self.model.input_size}, but image.size is {self.image.size}; lower the first"
            )
        if self.finetune.frozen_blocks > len(self.model.blocks):
            raise ValueError(
                f"finetune.frozen_blocks is {self.finetune.frozen_blocks}, but model.blocks has "
                f"{len(self.model.blocks)}; lower it"
            )
        return self


Checked = TypeVar("Checked", bound=BaseModel)


def load() -> Params:
    """params.yaml of the current folder."""
    return read(FILE, Params)


def read(file: Path, schema: type[Checked]) -> Checked:
    """The values in a YAML file, checked by `schema`.

    Raises:
        UserError: the file is missing or not YAML, a key is missing or unknown, or a value is not what it may be.
    """
    try:
        return parse(file.read_bytes(), str(file), schema)
    except FileNotFoundError:
        raise UserError(f"{file} is missing; run the command in the folder of the project.") from None


def parse(data: bytes, name: str, schema: type[Checked]) -> Checked:
    """The values in a YAML file of these bytes, checked by `schema`; an error calls it `name`.

    Read as YAML 1.2, as DVC does: `1e-05`, which `dvc exp run -S` writes, is a number there and a text in YAML 1.1.
    """
    try:
        values = YAML(typ="safe", pure=True).load(data.decode("utf-8-sig"))
    except (YAMLError, ValueError) as error:  # ValueError: not UTF-8, or an impossible date
        mark = getattr(error, "problem_mark", None)
        place = f" near line {mark.line + 1}" if mark else ""
        raise UserError(f"{name} is not valid YAML{place}; compare it with the committed one.") from None
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        # A misspelt key is unknown, and the right one missing: the first says more. But a data set may have any name,
        # and in one with a misspelt name nothing fits: what is missing lies higher and says more.
        first = min(
            error.errors(), key=lambda e: (not _has_wrong_key(e), len(e["loc"]), e["type"] != "extra_forbidden")
        )
        raise UserError(f"{name}: {_sentence(first, schema)}") from None


def describe(schema: type[BaseModel], *path: str) -> str:
    """What the value at `path` may be, such as "a number from 0 to 1"; "" if the schema has no such key."""
    node = _part(schema, path)
    return _words(node) if node else ""


def _has_wrong_key(error: ErrorDetails) -> bool:
    """Whether the key itself is wrong, and not its value."""
    return error["type"] == "invalid_key" or error["loc"][-1:] == ("[key]",)


def _sentence(error: ErrorDetails, schema: type[BaseModel]) -> str:
    """What is wrong with which key, and what it may be."""
    if error["type"] == "value_error":
        return f"{error['ctx']['error']}."
    value = json.dumps(error["input"], ensure_ascii=False, default=str)[:100]
    if _has_wrong_key(error):
        section = ".".join(map(str, error["loc"])).removesuffix(".[key]").rpartition(".")[0]
        return f"{section or 'the file'} has the key {value}, but each key must be a text."
    # A number is a place in a list, and the words for the list cover what is in it.
    path = [str(part) for part in takewhile(lambda part: isinstance(part, str), error["loc"])]
    key = ".".join(path)
    if error["type"] == "extra_forbidden":
        if key in RENAMED:
            return f"{key} is called {RENAMED[key]} now; rename it."
        known = [".".join([*path[:-1], name]) for name in _part(schema, path[:-1])["properties"]]
        near = difflib.get_close_matches(key, known, n=1, cutoff=0)
        return f"{key} is unknown; did you mean {near[0]}?"
    if error["type"] == "missing":
        return f"{key} is missing; it must be {describe(schema, *path)}."
    return f"{key or 'the file'} is {value}, but must be {describe(schema, *path)}."


def _part(schema: type[BaseModel], path: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of what is at `path`; empty if `schema` has no such key."""
    whole = schema.model_json_schema()
    node = whole
    for key in path:
        node = node.get("properties", {}).get(key) or node.get("additionalProperties") or {}
        # A section is referred to; one that may be left out is an option beside null.
        for option in [node, *node.get("anyOf", ())]:
            if "$ref" in option:
                node = whole["$defs"][option["$ref"].rpartition("/")[2]]
    return node


def _words(node: dict[str, Any]) -> str:
    """A part of a JSON schema, in words."""
    if "anyOf" in node:
        return " or ".join(map(_words, node["anyOf"]))
    if "enum" in node:
        return f"one of {', '.join(node['enum'])}"
    if node.get("type") in ("number", "integer"):
        kind = "a number" if node["type"] == "number" else "a whole number"
        return f"{kind} from {node['minimum']} to {node['maximum']}".replace(".0 ", " ").removesuffix(".0")
    if node.get("type") == "array":
        least = f" of at least {node['minItems']}" if "minItems" in node else ""
        return f"a list{least}, each {_words(node['items'])}"
    if "properties" in node:
        return f"a section with {', '.join(node['properties'])}"
    if node.get("type") == "object":
        least = f"at least {node['minProperties']} " if "minProperties" in node else ""
        return f"a table of {least}lines"
    return {"boolean": "true or false", "string": "a text", "null": "null"}[node["type"]]
