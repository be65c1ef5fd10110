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

from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from rendezvous.archive.limits import ArchiveLimits
from rendezvous.durations import Duration
from rendezvous.monitoring.limits import DAY_US, HOUR_US, MonitoringLimits
from rendezvous.retraining.acceptance import fault_of_acceptance
from rendezvous.retraining.limits import RetrainingLimits
from rendezvous.rules import MAX_MS, MAX_STEPS, Document, Name, Number, Rules, Step, fault_of_order, fault_of_times
from rendezvous.server.policies import fault_of
from rendezvous.toml_lines import Where, line_of

MAX_MODELS = 64
"""Width of the bit mask in which a decision records who had arrived."""


FROM_ELSEWHERE = ("folder", "features", "features_schema", "older_features_schemas")
"""Fields of an endpoint that its document does not give."""


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which, where, and what to do."""


class FieldFaultError(ValueError):
    """A fault that the whole document shows, and the field that it is about."""

    def __init__(self, message: str, where: Where) -> None:
        super().__init__(message)
        self.where = where


class RequestLimits(Document):
    """What an application may ask. The budget of `deadline_ms` starts at the broker's append time."""

    deadline_ms: int = Field(gt=0, description="for a request that names none")
    max_deadline_ms: int = Field(gt=0, le=MAX_MS, description="a longer one is clamped to this")
    reply_margin_ms: int = Field(ge=0, description="the last step ends this long before the deadline")
    max_bytes: int = Field(default=65_536, gt=0, le=900_000, description="a larger value is rejected")

    @model_validator(mode="after")
    def _ordered(self) -> RequestLimits:
        if fault := fault_of_times(self.deadline_ms, self.max_deadline_ms, self.reply_margin_ms):
            raise ValueError(fault)
        return self


class Output(Document):
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


class MailboxLimits(Document):
    """How much a partition's mailbox holds, and for how long."""

    close_ms: int = Field(default=5_000, gt=0, description="late scores are still compared this long after append")
    behind_ms: int = Field(
        default=500, ge=0, description="a server that reads only old requests for so long goes on with the newest first"
    )
    silent_ms: int = Field(default=1_000, gt=0, description="a model silent this long is no longer expected")
    capacity: int = Field(default=16_384, ge=16, le=1 << 22, description="span of offsets, a power of two")
    expected: tuple[Name, ...] = Field(
        default=(), description="models or aliases whose reports close a mailbox early; without it, all that are alive"
    )

    @model_validator(mode="after")
    def _power_of_two(self) -> MailboxLimits:
        if self.capacity & (self.capacity - 1):
            message = f"capacity ({self.capacity}) must be a power of two: the ring indexes by offset & (capacity - 1)"
            raise ValueError(message)
        return self


class TopicLimits(Document):
    """The endpoint's topics: requests, scores, decisions and comparisons have the same number of partitions."""

    partitions: int = Field(default=1, ge=1, le=1_024)
    replication: int = Field(default=-1, ge=-1, le=32_767, description="copies of each; -1 for the broker's default")
    min_insync: int | None = Field(
        default=None, ge=1, description="copies that must have a record; the broker's default"
    )
    retention: Duration = Field(
        default=7 * DAY_US, ge=HOUR_US, description="of what replay reads: requests, scores, decisions, comparisons"
    )
    reply_prefixes: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        default=(), description="reply topics beyond <endpoint>.responses, by prefix"
    )


class ModelSettings(Document):
    """How one model is run. Its artefact and card are in models/<endpoint>/<model>/."""

    kind: Literal["onnx", "python"] = "onnx"
    required: tuple[str, ...] = Field(default=(), description="features without which a row is INVALID")
    max_batch: int = Field(default=256, ge=1, le=65_536)
    threads: int = Field(default=1, ge=1, le=256)


class PromotionLimits(Document):
    """What a version must show, on the last `requests` that were compared, before an alias is moved to it."""

    requests: int = Field(default=200, ge=1, le=100_000)
    coverage: float = Field(default=0.99, ge=0, le=1, description="share that it has scored")
    in_time: float = Field(default=0.95, ge=0, le=1, description="share that it has scored by the end of its step")
    fresh_s: float = Field(default=30.0, gt=0, description="its last score is no older")


class FallbackLimits(Document):
    """When a scheduled version is passed by on a partition, and when it is trusted again."""

    missed: float = Field(default=0.5, gt=0, le=1, description="share of requests without its score by its step's end")
    failed: float = Field(default=0.5, gt=0, le=1, description="share of requests that it could not score")
    requests: int = Field(default=50, ge=1, le=1_000_000, description="looked at before anything is concluded")
    window_s: float = Field(default=5.0, gt=0, le=3_600, description="how far back is looked")
    recover_s: float = Field(
        default=30.0, gt=0, le=86_400, description="good for so long before it is trusted again; doubles each time"
    )


class Feature(Document):
    """One column of the endpoint's features schema."""

    name: str
    type: Literal["string", "int", "long", "float", "double", "boolean"]
    nullable: bool

    @property
    def is_text(self) -> bool:
        """Text travels to models as strings; everything else as float32."""
        return self.type == "string"


class Endpoint(Document):
    """Everything the services and clients of one endpoint need to know."""

    name: Name
    description: str
    request: RequestLimits
    output: Output
    schedule: tuple[Step, ...] = Field(min_length=1, max_length=MAX_STEPS)
    models: dict[Name, ModelSettings] = Field(min_length=1, max_length=MAX_MODELS)
    aliases: dict[Name, Name] = Field(default={}, description="what each names at first; `promote` moves them")
    mailbox: MailboxLimits = MailboxLimits()
    promotion: PromotionLimits = PromotionLimits()
    fallback: FallbackLimits = FallbackLimits()
    topics: TopicLimits = TopicLimits()
    monitoring: MonitoringLimits = MonitoringLimits()
    retraining: RetrainingLimits | None = None
    archive: ArchiveLimits = ArchiveLimits()
    exactly_once: bool = Field(
        default=False, description="answers, decisions and positions in transactions; docs/performance.md has the price"
    )
    folder: Path
    features: tuple[Feature, ...] = Field(min_length=1)
    features_schema: str = Field(description="the Avro schema of a request's value, as JSON")
    older_features_schemas: tuple[str, ...] = Field(default=(), description="released before, still read")

    @model_validator(mode="after")
    def _consistent(self) -> Endpoint:
        self._check_names()
        known = {feature.name for feature in self.features}
        for name, model in self.models.items():
            if unknown := sorted(set(model.required) - known):
                message = f"names unknown features {unknown}; known: {sorted(known)}"
                raise FieldFaultError(message, ("models", name, "required"))
        if self.mailbox.close_ms < self.request.max_deadline_ms:
            message = (
                f"close_ms ({self.mailbox.close_ms}) is shorter than request.max_deadline_ms "
                f"({self.request.max_deadline_ms}): a mailbox would close before its answer is due"
            )
            raise FieldFaultError(message, ("mailbox", "close_ms"))
        self._check_retraining()
        return self

    def _check_retraining(self) -> None:
        if self.retraining is None:
            return
        if self.retraining.model not in self.models:
            message = f"names {self.retraining.model!r}; models are {sorted(self.models)}"
            raise FieldFaultError(message, ("retraining", "model"))
        if fault := self.retraining.fault(self.monitoring, self.output.kind):
            raise FieldFaultError(fault[0], ("retraining", *fault[1]))
        texts = {feature.name: feature.is_text for feature in self.features}
        if found := fault_of_acceptance(self.retraining.acceptance, self.output.kind, texts):
            raise FieldFaultError(found[1], ("retraining", "acceptance", *found[0]))

    def _check_names(self) -> None:
        for alias, name in self.aliases.items():
            if alias in self.models:
                raise FieldFaultError("is the name of a model: choose another", ("aliases", alias))
            if name not in self.models:
                raise FieldFaultError(f"names {name!r}; models are {sorted(self.models)}", ("aliases", alias))
        known = {*self.models, *self.aliases}
        if disorder := fault_of_order(self.schedule):
            raise FieldFaultError(disorder[1], ("schedule", disorder[0], "until_ms"))
        for number, step in enumerate(self.schedule):
            if unknown := sorted(set(step.models) - known):
                message = f"names {unknown}; models and aliases are {sorted(known)}"
                raise FieldFaultError(message, ("schedule", number, "models"))
            if fault := fault_of(step.policy, self.output.kind, weighted=bool(step.weights)):
                raise FieldFaultError(fault, ("schedule", number, "policy"))
        if unknown := sorted(set(self.mailbox.expected) - known):
            message = f"names {unknown}; models and aliases are {sorted(known)}"
            raise FieldFaultError(message, ("mailbox", "expected"))

    @property
    def rules(self) -> Rules:
        """What decides an answer besides the scores, as the document says it."""
        return Rules(
            schedule=self.schedule,
            expected=self.mailbox.expected,
            default=self.output.default,
            deadline_ms=self.request.deadline_ms,
            max_deadline_ms=self.request.max_deadline_ms,
            reply_margin_ms=self.request.reply_margin_ms,
        )

    @property
    def live(self) -> frozenset[str]:
        """The models that may answer users at first: those that a step names, itself or by an alias."""
        return frozenset(self.aliases.get(name, name) for name in self.rules.names)

    def topic(self, name: str) -> str:
        """The full name of one of the endpoint's topics, e.g. `flights.requests`."""
        return f"{self.name}.{name}"


class Environment(Document):
    """What a process takes from its environment."""

    home: Path
    kafka: str
    redis: str
    data: Path
    archive: str = ""

    def archive_of(self, endpoint: Endpoint) -> str:
        """Where an endpoint's archive is: RENDEZVOUS_ARCHIVE, what its document says, or a folder among the data."""
        return self.archive or endpoint.archive.url or str(self.data / "archive")


def environment(variables: dict[str, str] | None = None) -> Environment:
    """Read RENDEZVOUS_HOME, KAFKA_BOOTSTRAP_SERVERS, REDIS_URL, RENDEZVOUS_DATA and RENDEZVOUS_ARCHIVE."""
    values = dict(os.environ) if variables is None else variables
    home = Path(values.get("RENDEZVOUS_HOME", ".")).resolve()
    return Environment(
        home=home,
        kafka=values.get("KAFKA_BOOTSTRAP_SERVERS", ""),
        redis=values.get("REDIS_URL", ""),
        data=Path(values.get("RENDEZVOUS_DATA", home / ".local")).resolve(),
        archive=values.get("RENDEZVOUS_ARCHIVE", ""),
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
        message = "; ".join(
            f"{place_of(path, (field,))}: comes from the folder and from features.avsc: remove it here"
            for field in given
        )
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
        message = "; ".join(told_fault(path, fault) for fault in error.errors())
        raise SettingsError(message) from error
    if endpoint.name != name:
        message = f"{place_of(path, ('name',))}: is {endpoint.name!r}, its folder is {name!r}: they must agree"
        raise SettingsError(message)
    return endpoint


def told_fault(path: Path, fault: ErrorDetails) -> str:
    """One fault with its file, line and field."""
    raised = fault.get("ctx", {}).get("error")
    where = raised.where if isinstance(raised, FieldFaultError) else fault["loc"]
    return f"{place_of(path, where)}: {fault['msg'] if raised is None else raised}"


def place_of(path: Path, where: Where) -> str:
    """File, line (where it has one) and field."""
    line = line_of(path.read_text(encoding="utf-8"), where)
    return f"{path}{f':{line}' if line else ''}: {'.'.join(str(part) for part in where) or 'document'}"


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
