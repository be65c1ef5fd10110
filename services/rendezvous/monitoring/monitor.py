"""The monitor's core (interface first; the body follows in the next commits on this branch). Pure.

Monitor(limits: MonitoringLimits, kind: Kind, pending: Pending, reference_of: Callable[[Pair], Reference | None])
    controlled(control: Control) -> None                      who is champion, canary, deployed from here on
    compared(partition: int, comparisons: Comparisons) -> None    repeats are dropped by (partition, offset)
    saw(partition: int, columns: FeatureColumns) -> None          repeats are dropped by (partition, offset)
    labelled(labels: Sequence[Label], appended_us: Int64s) -> None   append times (microseconds) beside the labels
    passed(now_us: int) -> None     the time-out: nothing earlier than this will be heard any more (endpoints whose time is
                                    "append", once every partition is read to its end); may be left out
    conclude() -> list[Finding]     at the end of a tick: closes what the watermark has passed; nothing else returns findings
    watermark_us: int | None; counts: Mapping[str, int] (for telemetry: late, repeated, unknown_labels, ...); faults: tuple[str, ...]
    snapshot() -> bytes; Monitor.restored(saved, limits, kind, pending, reference_of) -> Monitor

Batch as much as a tick brings: a call costs 0.1 ms for each model, whatever is in it. The pending store must be as it was at the
snapshot, or later (what was put after it is put again, the same).
"""
