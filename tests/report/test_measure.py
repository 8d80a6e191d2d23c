import io
import json

import pytest
from rich.console import Console

from fvsearch.archs.layout import parse_layout
from fvsearch.costs.formula import predict
from fvsearch.errors import ConfigError
from fvsearch.meters.measured import Interval, Measured, MeasureRequest, StepMemory
from fvsearch.report.measure import measure_document, measure_requests, measure_table

SETTINGS = {
    "image_size": 224,
    "patch_size": 16,
    "channels": 3,
    "classes": 1000,
    "batch_size": 8,
    "dtype": "float32",
    "optimizer": "adamw",
    "phase": "both",
    "seconds": 2.0,
}


def answer(request: MeasureRequest, ratio: Interval, spread: float = 0.01) -> Measured:
    """As if the reference did 100 images/s in 1000 bytes, the other as the ratio says in 750."""
    medians = [100.0, 100.0 * ratio.median][: len(request.archs)]
    intervals = tuple(Interval(median=median, low=median * (1 - spread), high=median * (1 + spread)) for median in medians)
    return Measured(
        throughput=intervals,
        ratio=(Interval(median=1.0, low=1.0, high=1.0), ratio)[: len(request.archs)],
        memory=tuple(StepMemory(bytes=size, source="by the test") for size in (1000, 750)[: len(request.archs)]),
        backend="jax",
        device="cpu",
        versions={"jax": "9.9", "keras": "3.15"},
        seconds={"measure": 1.0},
    )


def document(ratio: Interval, spread: float = 0.01, **settings: object) -> dict:
    requests = measure_requests("B6(197)-6(99)", "vit-b16", **(SETTINGS | settings))
    return measure_document(requests, [answer(request, ratio, spread) for request in requests], {"cores": 2})


def text(found: dict, width: int = 200) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(measure_table(found))
    return console.export_text()


CLEAR, TIE, WIDE = (
    Interval(median=1.3, low=1.28, high=1.32),
    Interval(median=1.01, low=0.99, high=1.03),
    Interval(median=1.3, low=1.1, high=1.5),
)


def test_the_reference_is_the_first_of_a_request_and_each_phase_has_one() -> None:
    requests = measure_requests("B6(197)-6(99)", "vit-b16", **SETTINGS)
    assert [request.phase for request in requests] == ["training", "inference"]
    assert [len(arch.stages) for arch in requests[0].archs] == [1, 2]
    assert requests[0].time_budget == 4.0
    assert [request.phase for request in measure_requests("vit-b16", None, **(SETTINGS | {"phase": "inference"}))] == ["inference"]


def test_measured_stands_beside_predicted() -> None:
    found = document(CLEAR)
    assert json.loads(json.dumps(found)) == found
    ours, reference = (
        predict(parse_layout(layout), image_shape=(224, 224, 3), num_classes=1000, batch_size=8) for layout in ("B6(197)-6(99)", "B12(197)")
    )
    training = found["phases"]["training"]
    assert training["arch"]["memory"] == {"measured": 750, "source": "by the test", "predicted": ours.memory}
    assert training["against"]["memory"]["predicted"] == reference.memory
    assert training["ratio"]["memory"] == {"measured": 0.75, "predicted": ours.memory / reference.memory}
    assert training["ratio"]["throughput"]["predicted"] == reference.macs / ours.macs
    assert training["arch"]["throughput"]["median"] == pytest.approx(130)
    assert found["phases"]["inference"]["arch"]["memory"]["predicted"] < ours.memory / 5


def test_the_document_says_on_what_and_how() -> None:
    found = document(CLEAR)
    wanted = {"backend": "jax", "device": "cpu", "seed": 0, "batch_size": 8, "dtype": "float32", "optimizer": "adamw", "confidence": 0.95}
    assert wanted.items() <= found.items()
    assert found["versions"]["jax"] == "9.9"
    assert found["machine"] == {"cores": 2}
    assert found["arch"]["layout"] == "B6(197)-6(99)"
    assert found["against"]["layout"] == "B12(197)"


@pytest.mark.parametrize(("ratio", "tie"), [(CLEAR, False), (TIE, True), (Interval(median=1.1, low=1.0, high=1.2), True)])
def test_an_interval_that_holds_1_is_a_tie(ratio: Interval, tie: bool) -> None:
    found = document(ratio)
    assert found["phases"]["training"]["ratio"]["throughput"]["is_tie"] is tie
    assert ("a tie" in text(found)) is tie
    assert ("holds 1" in text(found)) is tie


def test_a_ratio_s_wide_interval_is_said_and_that_of_drifting_archs_is_not() -> None:
    assert "the time was spent" in text(document(WIDE))
    assert "the time was spent" not in text(document(CLEAR, spread=0.2))


def test_one_arch_alone_has_no_ratio_and_its_own_interval_counts() -> None:
    requests = measure_requests("vit-b16", None, **(SETTINGS | {"phase": "training"}))
    wide = measure_document(requests, [answer(requests[0], CLEAR, spread=0.2)], {})
    assert "ratio" not in wide["phases"]["training"]
    assert "against" not in wide
    assert "the time was spent" in text(wide)
    assert "the time was spent" not in text(measure_document(requests, [answer(requests[0], CLEAR)], {}))


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_holds_every_number(width: int) -> None:
    shown = text(document(CLEAR), width)
    for number in ("750 B", "1000 B", "0.750x", "1.300x (1.280-1.320)", "130 (129-131)", "100 (99.0-101)", "jax 9.9", "cpu (2 cores)"):
        assert number in shown, number
    assert "B6(197)-6(99)" in shown
    assert "by the test" in shown
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown, "nothing is cut"


@pytest.mark.parametrize(
    ("arch", "settings", "law"),
    [
        ("vit-b17", {}, "no arch 'vit-b17'"),
        ("B6(196)", {}, "the first stage must hold 197 tokens"),
        ("vit-b16", {"image_size": 225}, "`image_size` must divide by `patch_size`"),
        ("vit-b16", {"dtype": "float16"}, "`dtype` must be one of float32, mixed_bfloat16, but got 'float16'"),
        ("vit-b16", {"classes": 1}, "`num_classes` must be at least 2, but got 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_a_backend_starts(arch: str, settings: dict, law: str) -> None:
    with pytest.raises(ConfigError, match=law.replace("(", r"\(").replace(")", r"\)")):
        measure_requests(arch, None, **(SETTINGS | settings))
