import pytest

from fvsearch.archs.layout import parse_layout
from fvsearch.report.findings import kin


@pytest.mark.parametrize(
    ("relation", "first", "second", "related"),
    [
        (kin.is_twin, "B2(17)-2(9)", "B4(17)", True),
        (kin.is_twin, "B2(17)-2(9)", "B2(17)-2(17)", True),
        (kin.is_twin, "B2(17)-1(9)", "B4(17)", False),
        (kin.is_twin, "B2(17)-2(9, m1536)", "B4(17)", False),
        (kin.is_twin, "B4(17)", "B4(17)", False),
        (kin.by_mean_and_max, "B2(17)-1(9)-1(5)", "B2(17)-1(9, max)-1(5, max)", True),
        (kin.by_mean_and_max, "B2(17)-1(9)-1(5)", "B2(17)-1(9, max)-1(5)", False),
        (kin.by_mean_and_max, "B2(17)-2(9, naive)", "B2(17)-2(9, max)", False),
        (kin.by_mean_and_max, "B2(17)-2(9, max)", "B2(17)-2(9)", False),
        (kin.at_once_and_twice, "B2(17)-2(5)", "B2(17)-1(9)-1(5)", True),
        (kin.at_once_and_twice, "B2(17)-2(5, naive)", "B2(17)-1(9)-1(5)", False),
        (kin.is_deeper, "B3(17)-2(9, naive)", "B2(17)-2(9)", False),
        (kin.at_once_and_twice, "B2(17)-2(5, max)", "B2(17)-1(9)-1(5)", False),
        (kin.at_once_and_twice, "B2(17)-2(5)", "B2(17)-1(9)-1(5, m1536)", False),
        (kin.is_deeper, "B4(17)-4(9)", "B2(17)-2(9)", True),
        (kin.is_deeper, "B2(17)-2(9)-2(5)", "B2(17)-2(9)", True),
        (kin.is_deeper, "B2(17)-2(9)-2(5, m1536)", "B2(17)-2(9)", False),
        (kin.is_deeper, "B4(17)-1(9)", "B2(17)-2(9)", False),
        (kin.is_deeper, "B4(17)-4(9, max)", "B2(17)-2(9)", False),
        (kin.is_wider, "B2(17, h1024)-2(9)", "B2(17)-2(9)", True),
        (kin.is_wider, "B2(17, h1024, m4096)-2(9)", "B2(17)-2(9)", False),
        (kin.is_wider, "B2(17, h1024)-2(9, h512)", "B2(17)-2(9)", False),
        (kin.has_larger_mlps, "B2(17, m4096)-2(9)", "B2(17)-2(9)", True),
        (kin.has_larger_mlps, "B2(17, m4096)-2(9, m1536)", "B2(17)-2(9)", False),
        (kin.is_wide_then_thin, "B2(17, m4096)-2(9)-1(5, m1536)", "B4(17)", True),
        (kin.is_wide_then_thin, "B2(17, m4096)-2(9, m1536)-1(5)", "B4(17)", False),
        (kin.is_wide_then_thin, "B2(17)-1(9, m1536)", "B4(17)", False),
        (kin.is_wide_then_thin, "B2(17, h1024)-2(9, m1536)", "B4(17)", True),
    ],
)
def test_how_archs_are_related(relation: kin.Related, first: str, second: str, related: bool) -> None:
    archs = [parse_layout(layout, patch_size=4, image_size=16) for layout in (first, second)]
    assert relation(*archs) is related
