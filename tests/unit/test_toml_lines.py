"""The line of a field, however its document is written."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rendezvous.toml_lines import Where, line_of

DOCUMENT = '''\
name = "toy"                      # line 1
[request]
deadline_ms = 1  # [mailbox]
"max.bytes" = 2
'spaced key' = 3
  [ mailbox ]  # indented
  capacity=4
# [output]
[[schedule]]
models = ["a"]
[[schedule]]
until_ms = 5
models = [   # line 13
  "b", "]",  # [models.b]
  "c",
]
policy = "split"
[schedule.weights]
b = 0.5
[ "schedule" . 'extra' ]
d = 1
[models.a]
[models."b.c"]
kind = "onnx"
limits.least = 1
limits . most = 2
inline = { kind = "x", deep = { est = 1 } }
text = """
[nowhere]
capacity = 7 \\"""
"""
after = 8
literal = \'\'\'
until_ms = 9
\'\'\'
quoted = """a quote at the end: \""""
nested = [
  [1, 2],
  { x = 1 },
]
[[models.a.parts]]
[[models.a.parts]]
size = 1
[models.a.parts.inner]
size = 2
[[models.a.parts.more]]
size = 3
'''


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("name",), 1),
        (("request",), 2),
        (("request", "deadline_ms"), 3),
        (("request", "max.bytes"), 4),
        (("request", "spaced key"), 5),
        (("mailbox",), 6),
        (("mailbox", "capacity"), 7),
        (("schedule",), 9),
        (("schedule", 0), 9),
        (("schedule", 0, "models"), 10),
        (("schedule", 0, "models", 0), 10),
        (("schedule", 1), 11),
        (("schedule", 1, "until_ms"), 12),
        (("schedule", 1, "models"), 13),
        (("schedule", 1, "models", 2), 13),
        (("schedule", 1, "policy"), 17),
        (("schedule", 1, "weights"), 18),
        (("schedule", 1, "weights", "b"), 19),
        (("schedule", 1, "extra"), 20),
        (("schedule", 1, "extra", "d"), 21),
        (("models", "a"), 22),
        (("models", "b.c"), 23),
        (("models", "b.c", "kind"), 24),
        (("models", "b.c", "limits", "least"), 25),
        (("models", "b.c", "limits", "most"), 26),
        (("models", "b.c", "inline", "deep", "est"), 27),
        (("models", "b.c", "text"), 28),
        (("models", "b.c", "after"), 32),
        (("models", "b.c", "literal"), 33),
        (("models", "b.c", "quoted"), 36),
        (("models", "b.c", "nested", 1, "x"), 37),
        (("models", "a", "parts"), 41),
        (("models", "a", "parts", 1), 42),
        (("models", "a", "parts", 1, "size"), 43),
        (("models", "a", "parts", 1, "inner"), 44),
        (("models", "a", "parts", 1, "inner", "size"), 45),
        (("models", "a", "parts", 1, "more", 0), 46),
        (("models", "a", "parts", 1, "more", 0, "size"), 47),
    ],
)
def test_a_field_has_its_line(where: Where, line: int) -> None:
    """Behind comments, strings and arrays of several lines, quoted and dotted keys, and tables in arrays."""
    assert tomllib.loads(DOCUMENT)
    assert line_of(DOCUMENT, where) == line


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("request", "missing"), 2),
        (("request", "missing", "deeper"), 2),
        (("schedule", 1, "models", 1, "x"), 13),
        (("schedule", 0, "until_ms"), 9),
        (("models", "b.c", "limits", "none"), 25),
        (("models", "none"), 22),
        (("models",), 22),
        (("models", "First", "[key]"), 22),
        (("nowhere",), None),
        (("output",), None),
        ((), None),
    ],
)
def test_what_is_not_there_has_the_line_of_what_would_hold_it(where: Where, line: int | None) -> None:
    """The nearest part of the document, or none."""
    assert line_of(DOCUMENT, where) == line


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "a = 1"])
def test_small_documents(text: str) -> None:
    """Nothing in nothing; a last line without an end is a line."""
    assert line_of(text, ("a",)) == (1 if text == "a = 1" else None)


def test_lines_are_counted_as_editors_do() -> None:
    """Other characters that Python takes for the end of a line are none in TOML."""
    assert line_of('a = "\u2028\u0085"\nb = 1', ("b",)) == 2


VALUES = st.sampled_from(
    [
        "1",
        '"x # ["',
        "'y]'",
        "[\n1, # [t]\n2]",
        '"""\nk0 = 1\n[t]\n"""',
        "{ k0 = 1 }",
        "[[1], [\n2]]",
        "'''\n[[t]]\n'''",
    ]
)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["", "[t{}]", "[[a]]"]), VALUES), min_size=1, max_size=8))
def test_every_key_is_found_where_it_was_written(parts: list[tuple[str, str]]) -> None:
    """Documents of all these pieces: each key is on the line where it was put."""
    text, count, written = "", -1, []
    table: Where = ()
    for number, (header, value) in enumerate(parts):
        if header:
            text += header.format(number) + "\n"
            count += header == "[[a]]"
            table = ("a", count) if header == "[[a]]" else (f"t{number}",)
        written.append(((*table, f"k{number}"), text.count("\n") + 1))
        text += f"k{number} = {value} # {header}\n"
    assert tomllib.loads(text)
    for where, line in written:
        assert line_of(text, where) == line
