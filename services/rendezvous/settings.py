"""Endpoint documents and the environment, validated once, at the edge (pydantic).

An endpoint is a folder: models/<endpoint>/endpoint.toml, its features in schemas/<endpoint>/features.avsc, and one
folder a model. `RENDEZVOUS_HOME` names the folder that holds models/ and schemas/; without it, the working folder.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]

MAX_MODELS = 64
"""Width of the bit mask in which a decision records who had arrived."""


MAX_FLOAT32 = 3.4028234e38
Number = Annotated[float, Field(ge=-MAX_FLOAT32, le=MAX_FLOAT32, allow_inf_nan=False)]
"""A finite float32: what models answer."""
FROM_ELSEWHERE = ("folder", "features", "features_schema", "older_features_schemas")
"""Fields of an endpoint that its document does not give."""


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which, where, and what to do."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RequestLimits(_Document):
    """What an application may ask. The budget of `deadline_ms` starts at the broker's append time."""

    deadline_ms: int = Field(gt=0, description="for a request that names none")
    max_deadline_ms: int = Field(gt=0, le=3_600_000, description="a longer one is clamped to this")
    reply_margin_ms: int = Field(ge=0, description="the last step ends this long before the deadline")
    max_bytes: int = Field(default=65_536, gt=0, le=900_000, description="a larger value is rejected")

    @model_validator(mode="after")
    def _ordered(self) -> RequestLimits:
        if self.deadline_ms > self.max_deadline_ms:
            message = f"deadline_ms ({self.deadline_ms}) exceeds max_deadline_ms ({self.max_deadline_ms})"
            raise ValueError(message)
        if self.reply_margin_ms >= self.deadline_ms:
            message = f"reply_margin_ms ({self.reply_margin_ms}) leaves nothing of deadline_ms ({self.deadline_ms})"
            raise ValueError(message)
        return self


class Output(_Document):
    """What a model answers: one float32 for each name. For `binary` the one number is P(positive)."""

    kind: Literal["binary", "multiclass", "regression"]
    names: tuple[str, ...] = Field(min_length=1, max_length=256)
    default: tuple[Number, ...] = Field(description="the answer when no model has one")

    @model_validator(mode="after")
    def _same_width(self) -> Output:
        if len(self.names) != len(self.default):
            message = f"default has {len(self.default)} numbers for {len(self.names)} names"
            raise ValueError(message)
        if self.kind == "binary" and len(self.names) != 1:
            message = "a binary output is one number, P(positive): give one name"
            raise ValueError(message)
        return self


class Step(_Document):
    """One step of the schedule: until when (from the append), which models, chosen how.

    The last step has no `until_ms`: it ends `reply_margin_ms` before the request's own deadline.
    """

    models: tuple[Name, ...] = Field(min_length=1)
    until_ms: int | None = Field(default=None, gt=0)
    policy: str = "prefer"


class MailboxLimits(_Document):
    """How much a partition's mailbox holds, and for how long."""

    close_ms: int = Field(default=5_000, gt=0, description="late scores are still compared this long after append")
    silent_ms: int = Field(default=1_000, gt=0, description="a model silent this long is no longer expected")
    capacity: int = Field(default=16_384, ge=16, le=1 << 22, description="span of offsets, a power of two")

    @model_validator(mode="after")
    def _power_of_two(self) -> MailboxLimits:
        if self.capacity & (self.capacity - 1):
            message = f"capacity ({self.capacity}) must be a power of two: the ring indexes by offset & (capacity - 1)"
            raise ValueError(message)
        return self


class TopicLimits(_Document):
    """The endpoint's topics: requests, scores, decisions and comparisons have the same number of partitions."""

    partitions: int = Field(default=1, ge=1, le=1_024)
    reply_prefixes: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        default=(), description="reply topics beyond <endpoint>.responses, by prefix"
    )


class ModelSettings(_Document):
    """How one model is run. Its artefact and card are in models/<endpoint>/<model>/."""

    kind: Literal["onnx", "python"] = "onnx"
    required: tuple[str, ...] = Field(default=(), description="features without which a row is INVALID")
    max_batch: int = Field(default=256, ge=1, le=65_536)
    threads: int = Field(default=1, ge=1, le=256)


class Feature(_Document):
    """One column of the endpoint's features schema."""

    name: str
    type: Literal["string", "int", "long", "float", "double", "boolean"]
    nullable: bool

    @property
    def is_text(self) -> bool:
        """Text travels to models as strings; everything else as float32."""
        return self.type == "string"


class Endpoint(_Document):
    """Everything the services and clients of one endpoint need to know."""

    name: Name
    description: str
    request: RequestLimits
    output: Output
    schedule: tuple[Step, ...] = Field(min_length=1)
    models: dict[Name, ModelSettings] = Field(min_length=1, max_length=MAX_MODELS)
    mailbox: MailboxLimits = MailboxLimits()
    topics: TopicLimits = TopicLimits()
    exactly_once: bool = Field(
        default=False, description="answers, decisions and positions in transactions; docs/performance.md has the price"
    )
    folder: Path
    features: tuple[Feature, ...] = Field(min_length=1)
    features_schema: str = Field(description="the Avro schema of a request's value, as JSON")
    older_features_schemas: tuple[str, ...] = Field(default=(), description="released before, still read")

    @model_validator(mode="after")
    def _consistent(self) -> Endpoint:
        self._check_schedule()
        known = {feature.name for feature in self.features}
        for name, model in self.models.items():
            if unknown := sorted(set(model.required) - known):
                message = f"models.{name}.required names unknown features {unknown}; known: {sorted(known)}"
                raise ValueError(message)
        if self.mailbox.close_ms < self.request.max_deadline_ms:
            message = (
                f"mailbox.close_ms ({self.mailbox.close_ms}) is shorter than request.max_deadline_ms "
                f"({self.request.max_deadline_ms}): a mailbox would close before its answer is due"
            )
            raise ValueError(message)
        return self

    def _check_schedule(self) -> None:
        *timed, last = self.schedule
        if last.until_ms is not None:
            message = "the last step of the schedule ends with the deadline: remove its until_ms"
            raise ValueError(message)
        before = 0
        for number, step in enumerate(timed, start=1):
            if step.until_ms is None or step.until_ms <= before:
                message = f"schedule step {number}: until_ms must be given and grow from step to step"
                raise ValueError(message)
            before = step.until_ms
        for number, step in enumerate(self.schedule, start=1):
            if unknown := sorted(set(step.models) - set(self.models)):
                message = f"schedule step {number} names {unknown}; models are {sorted(self.models)}"
                raise ValueError(message)

    @property
    def live(self) -> frozenset[str]:
        """The models that may answer users: those named in the schedule."""
        return frozenset(name for step in self.schedule for name in step.models)

    def topic(self, name: str) -> str:
        """The full name of one of the endpoint's topics, e.g. `flights.requests`."""
        return f"{self.name}.{name}"


class Environment(_Document):
    """What a process takes from its environment."""

    home: Path
    kafka: str
    redis: str
    data: Path


def environment(variables: dict[str, str] | None = None) -> Environment:
    """Read RENDEZVOUS_HOME, KAFKA_BOOTSTRAP_SERVERS, REDIS_URL and RENDEZVOUS_DATA."""
    values = dict(os.environ) if variables is None else variables
    home = Path(values.get("RENDEZVOUS_HOME", ".")).resolve()
    return Environment(
        home=home,
        kafka=values.get("KAFKA_BOOTSTRAP_SERVERS", ""),
        redis=values.get("REDIS_URL", ""),
        data=Path(values.get("RENDEZVOUS_DATA", home / ".local")).resolve(),
    )


def load_endpoint(name: str, home: Path) -> Endpoint:
    """Read and validate models/<name>/endpoint.toml and schemas/<name>/features.avsc under `home`.

    Raises:
        SettingsError: naming the file and the field.
    """
    folder = home / "models" / name
    path = folder / "endpoint.toml"
    document = _read_toml(path, home)
    if given := [field for field in FROM_ELSEWHERE if field in document]:
        message = f"{path}: {given} come from the folder and from features.avsc: remove them here"
        raise SettingsError(message)
    schema_path = home / "schemas" / name / "features.avsc"
    try:
        schema = json.loads(schema_path.read_text())
        features = tuple(_feature(field) for field in schema["fields"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{schema_path}: not a readable features schema ({error}): an Avro record of primitive fields"
        raise SettingsError(message) from error
    try:
        endpoint = Endpoint.model_validate(
            {
                **document,
                "folder": folder,
                "features": features,
                "features_schema": json.dumps(schema),
                "older_features_schemas": [
                    path.read_text() for path in sorted(schema_path.parent.glob("features.*.avsc"))
                ],
            }
        )
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'document'}: {fault['msg']}" for fault in error.errors()
        )
        message = f"{path}: {faults}"
        raise SettingsError(message) from error
    if endpoint.name != name:
        message = f"{path}: name is {endpoint.name!r}, its folder is {name!r}: they must agree"
        raise SettingsError(message)
    return endpoint


def _read_toml(path: Path, home: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = sorted(found.parent.name for found in home.glob("models/*/endpoint.toml"))
        message = f"{path} does not exist; endpoints under {home}: {known or 'none'}. Set RENDEZVOUS_HOME?"
        raise SettingsError(message) from error
    except (OSError, ValueError) as error:  # no permission, not UTF-8, not TOML
        message = f"{path}: {error}"
        raise SettingsError(message) from error


def _feature(field: dict[str, object]) -> Feature:
    """One Avro field: a primitive type, or a union of null and one."""
    declared = field["type"]
    options = declared if isinstance(declared, list) else [declared]
    types = [option for option in options if option != "null"]
    if len(types) != 1:
        message = f"field {field['name']!r}: a feature is one primitive type or a union of null and one"
        raise ValueError(message)
    return Feature.model_validate({"name": field["name"], "type": types[0], "nullable": "null" in options})
