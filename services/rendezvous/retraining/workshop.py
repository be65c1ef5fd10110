"""Where one model is trained and measured: files laid out, a confined process run, what it left read back."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

import rendezvous
from rendezvous.messages import Floats
from rendezvous.registry.state import Pair
from rendezvous.retraining import confined, contract
from rendezvous.retraining.acceptance import AcceptanceLimits
from rendezvous.retraining.confined import ConfinedError, Spent
from rendezvous.retraining.contract import About, Params
from rendezvous.retraining.judgement import Measured
from rendezvous.retraining.order import Order
from rendezvous.retraining.sources import Code
from rendezvous.retraining.tables import Table, read_predictions, write_rows, write_table
from rendezvous.retraining.training import TrainingLimits
from rendezvous.scoring.fidelity import REFERENCE_ROWS, Rows, reference_rows
from rendezvous.settings import Endpoint

PYTHON = (sys.executable, "-P", "-m")
TRAINER = (*PYTHON, "rendezvous.retraining.trainer")
ANSWERING = (*PYTHON, "rendezvous.retraining.answering")
MEASURING = (*PYTHON, "rendezvous.retraining.measuring")
MEASURING_US = 600_000_000
"""Ten minutes: to score what is held out, and to time a few hundred batches."""
PACKAGE = Path(rendezvous.__file__).parents[1]
"""Where children find this very package, installed or not."""
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OMP_WAIT_POLICY": "PASSIVE"}
"""Nothing that a run writes may depend on the order of a set. OpenMP's threads wait for one another without spinning:
among processes that have precedence, boosted trees on 50,000 rows took 136 s instead of 4 (two cores, load 12)."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a training run has left: the folder with its files, what it says of itself, what it took."""

    output: Path
    reference: Path
    cases: tuple[tuple[str, int], ...]
    about: About
    spent: Spent

    @property
    def graph(self) -> Path:
        """The model."""
        return self.output / contract.GRAPH_FILE


@dataclass(frozen=True, slots=True)
class Workshop:
    """Trains `params.model` of an endpoint below `folder`, which is the caller's to remove."""

    endpoint: Endpoint
    params: Params
    code: Code
    limits: TrainingLimits
    folder: Path
    report: Callable[[str], None]

    def train(self, name: str, table: Table) -> Run:
        """Train on `table`; files are below `name`, the log beside it.

        Raises:
            ConfinedError: it failed, or overran a limit, or left no usable files.
        """
        place = self.folder / name
        output, working, reference = place / "output", place / "code", place / "reference.parquet"
        for folder in (output, working):
            folder.mkdir(parents=True)
        self.code.copy_to(working)
        write_table(place / "table.parquet", table)
        cases = reference_rows(_sample(table), self.endpoint.features)
        write_rows(reference, [row for rows in cases.values() for row in rows], self.endpoint.features)
        (place / "parameters.json").write_text(self.params.model_dump_json(indent=2))
        variables = {
            contract.TABLE: place / "table.parquet",
            contract.PARAMETERS: place / "parameters.json",
            contract.REFERENCE: reference,
            contract.OUTPUT: output,
        }
        self.report(f"{name}: training {self.params.model} on {len(table):,} rows")
        command = self.code.command or TRAINER
        spent = self._run(command, name, working, self.limits, {key: str(path) for key, path in variables.items()})
        graph = output / contract.GRAPH_FILE
        if not graph.is_file():
            raise ConfinedError(f"{name}: ended with 0 and left no {graph.name} in {contract.OUTPUT}: it must be there")
        sizes = tuple((case, len(rows)) for case, rows in cases.items())
        return Run(output, reference, sizes, _about(output / contract.ABOUT_FILE), spent)

    def answers(self, run: Run, table: Table) -> Floats:
        """What a run's graph says of rows, float32 [rows, width].

        Raises:
            ConfinedError: it cannot be run.
        """
        place = run.output.parent
        rows, answers = place / "asked.parquet", place / "answers.parquet"
        write_table(rows, table)
        files = [str(path) for path in (place / "parameters.json", run.graph, rows, answers)]
        self._run([*ANSWERING, *files], f"{place.name}-answers", place, self._own_limits, {})
        return read_predictions(answers, self.params.outputs, len(table)).astype(np.float32)

    def discard(self, run: Run) -> None:
        """Remove a run's files, tables above all; its log stays."""
        shutil.rmtree(run.output.parent)

    def measure(
        self, run: Run, limits: AcceptanceLimits, champion: Pair | None, held_out: Table | None = None
    ) -> Measured:
        """What a run's graph shows on `held_out`, and of itself.

        Raises:
            ConfinedError: it does not fit the endpoint, or cannot be run.
        """
        place = run.output.parent
        rows = None if held_out is None else place / "held-out.parquet"
        if rows is not None and held_out is not None:
            write_table(rows, held_out)
        order = Order(
            home=self.endpoint.folder.parents[1].resolve(),
            endpoint=self.endpoint.name,
            model=self.params.model,
            run=run.output,
            reference=run.reference,
            cases=run.cases,
            held_out=rows,
            champion=champion,
            limits=limits,
        )
        orders, result = place / "order.json", place / "measured.json"
        orders.write_text(order.model_dump_json(indent=2))
        self._run([*MEASURING, str(orders), str(result)], f"{place.name}-measured", place, self._own_limits, {})
        return Measured.model_validate_json(result.read_bytes())

    @property
    def _own_limits(self) -> TrainingLimits:
        """Of what is not the owner's: their time is for their training."""
        return self.limits.model_copy(update={"time": MEASURING_US})

    def _run(
        self, command: Sequence[str], name: str, folder: Path, limits: TrainingLimits, variables: Mapping[str, str]
    ) -> Spent:
        return confined.run(
            command,
            folder=folder,
            environment={**ENVIRONMENT, "PYTHONPATH": str(PACKAGE), **variables},
            log=self.folder / f"{name}.log",
            limits=limits,
            report=lambda line: self.report(f"{name}: {line}"),
        )


def _sample(table: Table) -> Rows:
    """Rows as they came, evenly spread over the table: None for what is missing."""
    keep = np.zeros(len(table), dtype=np.bool_)
    keep[:: max(1, len(table) // REFERENCE_ROWS)] = True
    columns = {
        name: [None if value == "" or value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN
        for name, column in table.where(keep).columns.items()
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _about(path: Path) -> About:
    """What a run says of itself; nothing, if it does not."""
    if not path.exists():
        return About()
    try:
        return About.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfinedError(f"{path.name} is not what docs/extending.md describes: {faults}") from error
