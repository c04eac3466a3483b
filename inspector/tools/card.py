"""A model's card: ``card.json`` goes in, what the model eats, gives and knows comes out.

The card lies beside its model in ``models/<name>/<version>/``; without a card, or with one that
does not fit, a model is not run (I7). Imported by ``tools/contract.py`` and the tools.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from inspector.config import first_problem, nearest


class ModelError(Exception):
    """A model that must not run; ``str()`` names the model, what is wrong and how to mend it."""

    def __init__(self, model: str, what: str) -> None:
        super().__init__(f"model {model}: {what}")
        self.model = model


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Input(_Part):
    """What the model eats."""

    name: str = ""
    """The graph's input; empty is its only one."""
    dtype: Literal["uint8", "float32", "float16"] = "uint8"
    shape: tuple[int | str | None, ...] = ()
    """As exported, names or -1 for free dimensions; checked against the graph when given."""
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    colour: Literal["BGR", "RGB", "grey"] = "BGR"
    scale: float = Field(1 / 255, gt=0)
    """Float models only: pixel × scale, then (… - mean) / std."""
    mean: tuple[float, ...] = (0.0,)
    """One number for all channels, or one for each."""
    std: tuple[float, ...] = (1.0,)

    @field_validator("dtype", mode="before")
    @classmethod
    def _onnx_spelling(cls, value: object) -> object:
        names = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "float": "float32"}
        return names.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _scales_every_channel(self) -> Input:
        channels = 1 if self.colour == "grey" else 3
        for field, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise ValueError(
                    f"`{field}` has one number, or one for each of {channels} channels"
                )
        if min(self.std) <= 0:
            raise ValueError("`std` is what pixels are divided by, so more than 0")
        return self


class Output(_Part):
    """What the model gives."""

    name: str = ""
    """The graph's output; empty is its first."""
    format: str = ""
    """Detectors: ``end-to-end`` [1,K,6] (x1, y1, x2, y2, score, class), ``yolov8`` [1,4+C,A],
    ``yolov5`` [1,A,5+C]. Recognisers: ``ctc`` [N,T,C] after softmax, blank 0.
    Text finders: ``db`` [1,1,H,W].
    Classifiers: ``softmax`` [N,C], one class is true; ``sigmoid`` [N,C], each by itself.
    Segmenters, scores per pixel, of the input's size or an even part of it: ``semantic`` [N,C,h,w],
    one class per pixel, the first is the background; ``masks`` [N,C,h,w], each by itself.
    Segmenters of instances: ``instances`` [N,K,6+M], as ``end-to-end`` and M coefficients of the
    prototypes; ``yolov8-seg`` [N,4+C+M,A]."""
    layers: tuple[int, ...] = ()
    """Models of task ``features``, [1,C,h/8,w/8]: how many of the C channels are each layer's, the
    finest first. Of task ``anomaly``: [1,1,h,w], how surely each pixel is defective."""
    prototypes: str = ""
    """Instances: the output [N,M,h,w] that the coefficients weigh; empty is the graph's second."""
    logits: bool = False
    """Classifiers, segmenters: the graph stops before its softmax or sigmoid; the tool adds it."""


class Letterbox(_Part):
    """How a picture is brought to the model's size: scaled to fit, the rest filled."""

    pad: int = Field(114, ge=0, le=255)
    """Grey value of the fill."""
    align: Literal["centre", "top-left"] = "centre"
    upscale: bool = True
    """Whether pictures smaller than the input are enlarged."""


class Probe(_Part):
    """A picture that any machine can make, and what the model says of it."""

    seed: int = Field(ge=0)
    answer: tuple[float, ...] = Field(min_length=1)
    """Ten numbers, see ``probe_answer`` in ``tools/contract.py``."""


class Parity(_Part):
    """What the model must compute on every machine that runs it."""

    probes: tuple[Probe, ...] = ()
    tolerance: float = Field(0.05, gt=0)
    """Int8 kernels of other processors round differently."""


class Card(_Part):
    """The card of one model; what it does not name (lineage, metrics, licence …) is for people."""

    name: str
    version: str
    task: str
    """``detect``, ``classify``, ``segment``, ``recognise`` (one line of print), ``find-text``
    (where print is)."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the model file."""
    file: str = "model.onnx"
    input: Input = Input()
    output: Output = Output()
    classes: tuple[str, ...] = ()
    """Labels in the order of the class numbers."""
    charset: tuple[str, ...] = ()
    """Recognisers: the character of output 1, 2, …; output 0 is the blank."""
    letterbox: Letterbox = Letterbox()
    parity: Parity = Parity()

    @field_validator("classes", mode="before")
    @classmethod
    def _names_by_number(cls, value: object) -> object:
        """Some exporters write ``{"0": "Bottle", …}``."""
        if not isinstance(value, dict):
            return value
        numbered = {str(i): value.get(str(i)) for i in range(len(value))}
        if numbered.keys() != value.keys():
            raise ValueError(f"classes are numbered from 0 without a gap, not {', '.join(value)}")
        return list(numbered.values())

    @field_validator("classes")
    @classmethod
    def _are_told_apart(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((label for label in classes if classes.count(label) > 1), None)
        if twice is not None:
            raise ValueError(f"two classes are called `{twice}`; findings could not be told apart")
        return classes

    @field_validator("charset", mode="before")
    @classmethod
    def _string_is_characters(cls, value: object) -> object:
        return list(value) if isinstance(value, str) else value

    @property
    def ref(self) -> str:
        """How a recipe names it."""
        return f"{self.name}/{self.version}"


def find_model(models: Path, ref: str) -> Path:
    """The folder of ``name/version``, or of ``name`` when only one version is there.

    Raises ``ModelError`` with the nearest known name."""
    name, _, version = ref.partition("/")
    folder = models / name
    versions = _versions(folder)
    if not version and len(versions) == 1:
        return folder / versions[0]
    if version in versions:
        return folder / version
    if versions:
        raise ModelError(ref, f"name one of its versions: {', '.join(versions)}")
    known = sorted(p.name for p in models.iterdir() if _versions(p)) if models.is_dir() else []
    raise ModelError(ref, f"is not in {models}; {nearest(name, [*known, *BUILT_IN])}")


def read_card(folder: Path, ref: str) -> Card:
    """The validated ``card.json`` of ``folder``. Raises ``ModelError``."""
    path = folder / "card.json"
    try:
        return Card.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise ModelError(ref, f"{path} cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise ModelError(ref, f"{path}: {first_problem(error)}; mend the card") from None
    except ValueError as error:
        raise ModelError(ref, f"{path} is not JSON ({error}); copy the card again") from None


def model_file(models: Path, ref: str) -> tuple[Path, Card]:
    """Where the model ``name/version`` lies, in ``models`` or in a wheel, and its card.

    Raises ``ModelError``."""
    if own := built_in(ref):
        return own
    folder = find_model(models, ref)
    card = read_card(folder, ref)
    return folder / card.file, card


def card_in(info: ValidationInfo, ref: str) -> Card | None:
    """The card of the model that a recipe's field names; None where it names none, or is read
    without a shelf. Raises ``ValueError``."""
    shelf = info.context.get("shelf") if isinstance(info.context, dict) else None
    try:
        card: Card | None = shelf.card(ref) if shelf and ref else None
    except ModelError as error:
        raise ValueError(str(error)) from None
    return card


def model_bytes(path: Path, card: Card, ref: str) -> bytes:
    """The model file that ``card`` describes, whole. Raises ``ModelError``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(ref, f"{path} cannot be read ({error.strerror}); install it") from None
    check_bytes(data, card, ref, str(path))
    return data


def check_bytes(data: bytes, card: Card, ref: str, where: str = "what was taught") -> None:
    """Raises ``ModelError`` unless ``data`` is the model file that ``card`` describes."""
    if hashlib.sha256(data).hexdigest() != card.sha256:
        raise ModelError(
            ref, f"{where} is not the file of its card (SHA-256 differs); install the release again"
        )


def built_in(ref: str) -> tuple[Path, Card] | None:
    """The PP-OCRv6 models that come inside rapidocr's wheel (Apache-2.0), by ``ref``."""
    card = BUILT_IN.get(ref)
    if card is None:
        return None
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(ref, "its wheel is missing; run `pip install rapidocr==3.10.0`")
    return Path(spec.submodule_search_locations[0]) / "models" / card.file, card


def models_in(models: Path) -> list[str]:
    """``name/version`` of each model that has a card in the folder, sorted."""
    return sorted(f"{p.parent.parent.name}/{p.parent.name}" for p in models.glob("*/*/card.json"))


def _versions(folder: Path) -> list[str]:
    return sorted(p.parent.name for p in folder.glob("*/card.json")) if folder.is_dir() else []


_HALF = {"mean": (0.5,), "std": (0.5,), "dtype": "float32", "layout": "NCHW", "colour": "BGR"}

BUILT_IN: dict[str, Card] = {
    "pp-ocrv6/find": Card(
        name="pp-ocrv6",
        version="find",
        task="find-text",
        sha256="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
        file="PP-OCRv6_det_small.onnx",
        input=Input.model_validate(_HALF),
        output=Output(format="db"),
    ),
    "pp-ocrv6/read": Card(
        name="pp-ocrv6",
        version="read",
        task="recognise",
        sha256="6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        file="PP-OCRv6_rec_small.onnx",
        input=Input.model_validate(_HALF),
        output=Output(format="ctc"),
        letterbox=Letterbox(pad=127, align="top-left"),
    ),
}
"""Models that need no folder: digests are those of rapidocr 3.10.0, the version we pin."""
