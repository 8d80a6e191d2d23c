"""What the tests of hostile input share: values that nobody means, mutations of files, the command line in this process, and the law.

The law: whatever comes in, what comes out is one sentence of bounded length, or the right answer; never a traceback, and never a file or a
folder that is half of one.
"""

import contextlib
import io
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
from hypothesis import strategies as st

from fvsearch.cli import main
from fvsearch.errors import FvsearchError

LONGEST = 900
"""Characters of a sentence; names of temporary folders are in it, some twice."""

VALUES = (
    *(
        "",
        " ",
        "x" * 20_000,
        "\0",
        "a\nb",
        "\x1b[31mred",
        "[red]x[/red]",
        "<script>alert(1)</script>",
        "é\u202e",
        "../../etc/passwd",
        "os:system",
    ),
    *(-1, 0, 1, 7, 10**6, 2**31, 2**63 - 1, -(2**63), 2**64, 10**400),
    *(0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *(True, [], {}, [[]], [{}], ["a"], [1, 1], [0, 10**18], {"low": 0, "high": 10**15}, {"a": {"b": {}}}),
)
"""Of every type that TOML has, at its edges."""

fuzzed = hypothesis.settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
"""The same examples each time: of what a fuzzer finds, a test is made."""


class Ran(NamedTuple):
    """What a command came to: its exit code, and what it printed."""

    code: int
    out: str
    err: str


def run(*arguments: str | Path) -> Ran:
    """A command of fvsearch in this process, which is as it was afterwards."""
    out, err = io.StringIO(), io.StringIO()
    before, argv, environment = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}, sys.argv, dict(os.environ)
    sys.argv = ["fvsearch", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        for number, handler in before.items():
            signal.signal(number, handler)
    return Ran(code, out.getvalue(), err.getvalue())


def refused(*arguments: str | Path) -> str:
    """The sentence with which a command refuses what it is given."""
    ran = run(*arguments)
    assert ran.code in (1, 2), (ran.code, ran.out[-500:], ran.err[-500:])
    lines = [line for line in ran.err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1 and lines[0].startswith("error: "), ran.err[:2000]
    require_sentence(lines[0].removeprefix("error: "))
    return lines[0]


def answered_or_refused(*arguments: str | Path) -> Ran:
    """What a command comes to that may have an answer."""
    ran = run(*arguments)
    assert "--debug shows where" not in ran.err and "Traceback" not in ran.err + ran.out, ran.err[-2000:]
    if ran.code != 0:
        assert ran.code in (1, 2), ran
        require_sentence(ran.err.splitlines()[-1])
    return ran


def require_sentence(error: FvsearchError | str) -> None:
    """The law of an error."""
    said = str(error)
    assert 0 < len(said) <= LONGEST, (len(said), said[:3000])
    assert "\n" not in said, said
    assert "--debug" not in said and "Traceback" not in said, said


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """The block succeeds, or raises one of our errors that is a sentence."""
    try:
        yield
    except FvsearchError as error:
        require_sentence(error)


def files_of(folder: Path) -> dict[str, bytes]:
    """All that lies below a folder, locks left out."""
    found = {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in sorted(folder.rglob("*"))}
    return {name: content for name, content in found.items() if not name.endswith(".lock")}


def drafts_in(folder: Path) -> list[str]:
    """Files that were begun and not finished."""
    return [str(path) for path in folder.rglob(".*draft*")]


@st.composite
def mutations(draw: st.DrawFn, document: dict[str, Any], values: Sequence[Any] = VALUES) -> dict[str, Any]:
    """A document of TOML with one to three of its places changed: another value, taken away, another key beside, or a copy."""
    changed = deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(changed))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["other"] * 5 + ["gone", "beside", "nested"]))
        if kind == "other":
            holder[key] = deepcopy(draw(st.sampled_from(values)))
        elif kind == "gone":
            del holder[key]
        elif kind == "nested":
            holder[key] = [holder[key]]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(["zzz", "", "a.b", "x" * 500, "\x1b[31m", "name"]))] = deepcopy(draw(st.sampled_from(values)))
        else:
            holder.append(holder[key])
    return changed


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that were cut, changed here and there, overwritten for a stretch, or had others put among them."""
    kind = draw(st.sampled_from(["cut", "flip", "zero", "insert"]))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        places = draw(st.lists(st.integers(0, max(0, len(content) - 1)), min_size=1, max_size=8))
        changed = bytearray(content)
        for place in places:
            changed[place] ^= draw(st.integers(1, 255))
        return bytes(changed)
    length = draw(st.integers(1, 200))
    if kind == "zero":
        return content[:at] + b"\0" * min(length, len(content) - at) + content[at + length :]
    return content[:at] + draw(st.binary(min_size=1, max_size=40)) + content[at:]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
