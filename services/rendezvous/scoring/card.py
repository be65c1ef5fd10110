"""A model's card: what the artefact beside it is, where it came from, and how well it did.

The card names its artefact's SHA-256; the version that travels with every score is its first 12 hex digits, so a
version can neither be forgotten nor given twice. Reading a card verifies the artefact.
"""

from __future__ import annotations

from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from rendezvous.settings import Endpoint, SettingsError

CARD_FILE = "card.json"
REFERENCE_FILE = "reference.json"
VERSION_DIGITS = 12

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]
"""A file in the model's own folder, never a path out of it."""


class CardError(SettingsError):
    """A model's card or artefact is missing, unreadable or changed; the message says what, where, and what to do."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Document):
    """Labelled requests from local day `first` to `last`, both included."""

    first: date
    last: date
    rows: int = Field(ge=0)


class Data(Window):
    """What the artefact was trained on. `sha256` is that of the source's files."""

    source: str
    sha256: Sha256


class Metrics(_Document):
    """How well the same recipe, trained on the days of `train`, did on those of `held_out`; figures by name."""

    train: Window
    held_out: Window
    figures: dict[str, FiniteFloat]


class Span(_Document):
    """The data that was asked for: requests asked in [from_us, until_us), as known at as_of_us; event time, µs."""

    from_us: int
    until_us: int
    as_of_us: int


class Environment(_Document):
    """Where a model was trained; its packages stand in the card."""

    python: str
    platform: str
    machine: str
    cores: int


class Asked(_Document):
    """Who wanted the model, and why: the retrain event."""

    key: str
    causes: tuple[str, ...]
    evidence: str
    reason: str
    by: str
    at_us: int


class Result(_Document):
    """A limit, whether it was met, and the figures in a sentence."""

    name: str
    met: bool
    finding: str


class History(_Document):
    """How a retrained model came about: what `rendezvous rebuild` needs to make it again, and what was shown.

    Its figures are those of a trial, trained on the rows asked before split_us and judged on the rows from then on;
    the artefact was trained on all of them, by the same code. manifest: of the archive's table, by which it can be had
    again. code: the digest of each file that is kept under code/;
    command: empty for Python's `train(table, params)`. given: the owner's parameters, handed to the training.
    limits: `[retraining.acceptance]` as it was before the training began. champion: whom it was compared with.
    """

    span: Span
    manifest: dict[str, JsonValue] | None
    split_us: int
    code: dict[str, Sha256]
    command: tuple[str, ...]
    given: dict[str, str | int | float | bool]
    transformations: tuple[str, ...]
    environment: Environment
    champion: str
    limits: dict[str, JsonValue]
    results: tuple[Result, ...]
    judged: tuple[dict[str, JsonValue], ...]
    seconds: float
    peak_mb: float
    asked: Asked


class Card(_Document):
    """Everything to know about one version of a model.

    `code_sha256` covers the code that made the artefact, `packages` the versions that it ran with.
    """

    endpoint: str
    model: str
    version: str
    kind: Literal["onnx", "python"]
    artefact: FileName
    sha256: Sha256
    data: Data
    features: tuple[str, ...]
    parameters: dict[str, str | int | float | bool | None]
    metrics: Metrics
    packages: dict[str, str]
    code_sha256: Sha256
    created_utc: datetime
    notes: str = ""
    reference_sha256: Sha256 | None = Field(
        default=None, description="of reference.json beside it: what the monitor compares with"
    )
    history: History | None = Field(default=None, description="of a model that a retraining job has made")

    @model_validator(mode="after")
    def _version_of_artefact(self) -> Card:
        if self.version != self.sha256[:VERSION_DIGITS]:
            message = f"version {self.version!r} is not the start of sha256 {self.sha256[:VERSION_DIGITS]!r}"
            raise ValueError(message)
        return self


def load_card(folder: Path) -> Card:
    """Read `folder`/card.json and verify the artefact beside it, and the reference where there is one.

    Raises:
        CardError: when one of them is missing, or is not the one that the card describes.
    """
    path = folder / CARD_FILE
    try:
        card = Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CardError(f"{path}: no readable card ({error.strerror}). {_what_to_do(folder)}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'card'}: {fault['msg']}" for fault in error.errors()
        )
        raise CardError(f"{path}: not a valid card: {faults}. {_what_to_do(folder)}") from error
    _verify(folder / card.artefact, card.sha256, folder)
    if card.reference_sha256 is not None:
        _verify(folder / REFERENCE_FILE, card.reference_sha256, folder)
    return card


def _verify(path: Path, digest: str, folder: Path) -> None:
    """See that a file is the one that the card in `folder` describes."""
    try:
        found = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CardError(
            f"{path}: named by its card, and not readable ({error.strerror}). {_what_to_do(folder)}"
        ) from error
    if found != digest:
        raise CardError(
            f"{path}: changed since its card was written: sha256 {found[:VERSION_DIGITS]}…, the card says "
            f"{digest[:VERSION_DIGITS]}…. {_what_to_do(folder)}"
        )


def check_card(endpoint: Endpoint, name: str, card: Card, folder: Path) -> None:
    """See that the card in `folder` is of this endpoint's model `name`.

    Raises:
        CardError: it is of another.
    """
    expected, found = (endpoint.name, name), (card.endpoint, card.model)
    if found != expected:
        raise CardError(f"{folder}: the card is of endpoint and model {found}, expected {expected}: train it anew")


def write_card(folder: Path, card: Card) -> None:
    """Write `folder`/card.json, whole or not at all."""
    path = folder / CARD_FILE
    part = path.with_suffix(".json.part")
    part.write_text(card.model_dump_json(indent=2) + "\n")
    part.replace(path)


def _what_to_do(folder: Path) -> str:
    train = folder.parent / "train.py"
    return f"To make it anew: `make demo`, or `python {train}`, after removing what is in the way"
