"""The bare loop: `python -m loadtest.scorer.loop HOME ENDPOINT MODEL BATCHES`, a process of its own.

Avro decoding by fastavro, one array a feature, onnxruntime: what any scorer must do, and nothing else. It prints, as
JSON, how many seconds of the wall clock and of the processor it took.
"""

from __future__ import annotations

import gc
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import onnxruntime

from rendezvous.scoring.models import OUTPUT, TEXT_TENSOR
from rendezvous.settings import Endpoint, load_endpoint
from rendezvous.wire import HEAD_BYTES

WARM_UP = 20
"""Batches before those that count."""


def save(path: Path, values: Sequence[bytes], sizes: Sequence[int]) -> None:
    """Keep values, and how many of them make each batch."""
    np.savez(
        path,
        data=np.frombuffer(b"".join(values), np.uint8),
        lengths=np.array([len(value) for value in values], np.int64),
        sizes=np.array(sizes, np.int64),
    )


def batches(path: Path) -> Iterator[list[bytes]]:
    """What `save` has kept."""
    with np.load(path) as kept:
        data, lengths, sizes = kept["data"].tobytes(), kept["lengths"], kept["sizes"]
    ends = np.cumsum(lengths).tolist()
    values = [data[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    at = 0
    for size in sizes.tolist():
        yield values[at : at + size]
        at += size


class Loop:
    """A graph in a session as the scorer's, and the features' schema."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = endpoint.models[model].threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = str(endpoint.folder / model / "model.onnx")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = [(one.name, one.type == TEXT_TENSOR) for one in self._session.get_inputs()]
        self._schema = fastavro.parse_schema(json.loads(endpoint.features_schema))

    def score(self, values: Sequence[bytes]) -> np.ndarray:
        """Decode, make columns, and run the graph."""
        rows: list[Any] = [
            fastavro.schemaless_reader(io.BytesIO(value[HEAD_BYTES:]), self._schema, None) for value in values
        ]
        feeds = {}
        for name, is_text in self._inputs:
            column = [row[name] or "" for row in rows] if is_text else [row[name] for row in rows]
            feeds[name] = np.array(column, object if is_text else np.float32).reshape(-1, 1)
        answers: np.ndarray = self._session.run([OUTPUT], feeds)[0]
        return answers


def run(home: Path, name: str, model: str, path: Path) -> dict[str, float]:
    """Score all batches once; seconds, processor's seconds, and rows."""
    loop, all_batches = Loop(load_endpoint(name, home), model), list(batches(path))
    for batch in all_batches[:WARM_UP]:
        loop.score(batch)
    gc.collect()
    gc.freeze()  # as the services do
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    for batch in all_batches:
        loop.score(batch)
    return {
        "seconds": time.perf_counter() - begun_s,
        "cpu_s": time.process_time() - begun_cpu_s,
        "rows": sum(len(batch) for batch in all_batches),
    }


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]))))  # noqa: T201 - its result
