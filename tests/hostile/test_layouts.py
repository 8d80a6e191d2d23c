"""Layouts that nobody meant: an arch whose layout reads as itself, or a sentence, and that soon."""

import time

import hypothesis
import pytest
from hostility import answered_or_refused, fuzzed, refused, require_sentence, sentences
from hypothesis import strategies as st

from fvsearch.archs.layout import LONGEST, format_layout, parse_layout
from fvsearch.costs.formula import predict
from fvsearch.errors import LayoutError

LAYOUTS = ("B6(197)-6(99)", "B6(197, m4096)-6(99)-2(50, m1536)", "B2(197, h1024, a16)-3(s4, max, naive)", "12")
LETTERS = "B0123456789()-,hmas naivemx.\u0663\u00b2\n\t\x1b%{"

CHANGES = st.lists(
    st.tuples(st.sampled_from(["other", "more", "fewer"]), st.integers(0, 60), st.sampled_from(LETTERS), st.sampled_from([1, 1, 1, 9, 40])),
    min_size=1,
    max_size=4,
)


@hypothesis.settings(fuzzed, max_examples=1500)
@hypothesis.given(st.sampled_from(LAYOUTS), CHANGES)
def test_a_mutated_layout_is_an_arch_or_a_sentence(layout: str, changes: list[tuple[str, int, str, int]]) -> None:
    text = list(layout)
    for kind, place, letter, count in changes:
        at = place % (len(text) + 1)
        text[at : at + (kind != "more") * count] = [] if kind == "fewer" else letter * count
    with sentences():
        arch = parse_layout("".join(text))
        assert parse_layout(format_layout(arch)) == arch
        assert predict(arch, image_shape=(224, 224, 3), num_classes=10, batch_size=1).num_params > 0


@pytest.mark.parametrize(
    "text",
    [
        "1-" * 10**5 + "1",
        "(" * 10**6,
        "6(" + "," * 10**6 + ")",
        "6(197" + " " * 10**5 + ")",
        "1" + " " * 10**5 + "x",
        "6()" * 10**5,
        "9" * 10**6,
    ],
    ids=["stages", "parentheses", "commas", "blanks within", "blanks between", "no separators", "digits"],
)
def test_a_layout_of_thousands_is_a_sentence_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(LayoutError, match=r"must have at most 10,000 characters, but got \d") as caught:
        parse_layout(text)
    require_sentence(caught.value)
    assert time.process_time() - began < 1
    assert refused("cost", text)


def test_the_longest_layout_is_read_soon() -> None:
    began = time.process_time()
    text = "B1" + "-1" * (LONGEST // 2 - 1)
    assert len(text) == LONGEST and len(parse_layout(text).stages) == LONGEST // 2
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "text", ["\x1b[31m", "-1", "", " ", "a\0b.toml", "~nobody-of-this-name/x.toml", "x" * 300 + ".toml", "caf\udce9", "B0", "[red]x"]
)
def test_what_is_no_arch_is_refused(text: str) -> None:
    ran = answered_or_refused("cost", "--", text)
    assert ran.code == 2 and "\x1b" not in ran.err and "\0" not in ran.err, ran


@pytest.mark.parametrize("text", ["B999999999(197)", "B1(197, h999999999, a999999999, m999999999)-1(s999999999)"])
def test_an_arch_that_nobody_could_build_has_its_costs(text: str) -> None:
    assert answered_or_refused("cost", text, "--json").code == 0
