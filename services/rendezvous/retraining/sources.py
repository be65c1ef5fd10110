"""The code that a model is trained with: found, hashed, and copied, so that what ran is what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rendezvous.registry.store import VERSIONS
from rendezvous.retraining.training import TrainingLimits
from rendezvous.settings import Endpoint, SettingsError

DEFAULT_FILE = "train.py"
"""Where Python's `train(table, params)` is looked for."""
MAX_BYTES = 10_000_000
"""Of all files together: code, not data."""


class SourceError(SettingsError):
    """Training code is missing, changed or too large; the message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Code:
    """The files that training needs, by their path in its working folder; the command; the features' schema."""

    files: Mapping[str, bytes]
    command: tuple[str, ...]
    features_schema: str

    @property
    def sha256(self) -> str:
        """The digest by which the same training code is known again."""
        digest = sha256(self.features_schema.encode())
        for word in self.command:
            digest.update(b"\0" + word.encode())
        for name, content in sorted(self.files.items()):
            digest.update(f"\n{name}:{len(content)}:".encode() + content)
        return digest.hexdigest()

    @property
    def digests(self) -> dict[str, str]:
        """Each file's own."""
        return {name: sha256(content).hexdigest() for name, content in sorted(self.files.items())}

    def copy_to(self, folder: Path) -> None:
        """Write every file into `folder`."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def code_of(endpoint: Endpoint, model: str, limits: TrainingLimits) -> Code:
    """The training code of a model as it is now: each pattern's files in the model's folder, else in the endpoint's.

    Raises:
        SourceError: a pattern has no file, there is too much, or the Python default has no train.py.
    """
    files: dict[str, bytes] = {}
    for pattern in limits.code:
        found = _matching(endpoint.folder / model, pattern) or _matching(endpoint.folder, pattern)
        if not found:
            raise SourceError(
                f"retraining.training.code: no file {pattern!r} in {endpoint.folder / model} or {endpoint.folder}: "
                "put the training code there"
            )
        files |= {name: path.read_bytes() for name, path in found.items()}
    return _checked(Code(files, limits.command, endpoint.features_schema), str(endpoint.folder))


def kept_code(folder: Path, digests: Mapping[str, str], command: tuple[str, ...], features_schema: str) -> Code:
    """The code that is kept with a version.

    Raises:
        SourceError: a file is missing, or not the one that ran.
    """
    try:
        files = {name: (folder / name).read_bytes() for name in digests}
    except OSError as error:
        raise SourceError(f"{folder}: the version's code is not readable ({error}): copy it from elsewhere") from error
    code = Code(files, command, features_schema)
    if changed := sorted(name for name, digest in code.digests.items() if digests[name] != digest):
        raise SourceError(f"{folder}: {changed} changed since they were kept: copy them from elsewhere")
    return _checked(code, str(folder))


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    found = {path.relative_to(folder): path for path in sorted(folder.glob(pattern)) if path.is_file()}
    return {name.as_posix(): path for name, path in found.items() if not {VERSIONS, "__pycache__"} & {*name.parts}}


def _checked(code: Code, where: str) -> Code:
    size = sum(map(len, code.files.values()))
    if size > MAX_BYTES:
        raise SourceError(f"{where}: training code of {size:,} bytes, at most {MAX_BYTES:,}: name fewer files")
    if not code.command and DEFAULT_FILE not in code.files:
        raise SourceError(
            f"{where}: without retraining.training.command, {DEFAULT_FILE} with `train(table, params)` must be among "
            f"the code; it is {sorted(code.files)}"
        )
    return code
