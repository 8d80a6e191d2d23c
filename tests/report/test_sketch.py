"""A funnel at a glance."""

from ledgers import arch

from fvsearch.report.sketch import HEIGHT, WIDTH, sketch


def test_there_is_a_bar_for_each_block_as_tall_as_its_tokens_are_many() -> None:
    drawn = sketch(arch("B2(17, h48, m96, a3)-1(9, h32, m64, a2)"), (8, 8, 1), deepest=3)
    assert [bar.height for bar in drawn.bars] == [HEIGHT, HEIGHT, round(HEIGHT * 9 / 17, 2)]
    assert drawn.words == "2 x 17 tokens of width 48, then 1 x 9 tokens of width 32"


def test_the_deepest_fills_the_width_and_no_more() -> None:
    drawn = sketch(arch("B24(17, h48, m96, a3)"), (8, 8, 1), deepest=24)
    last = drawn.bars[-1]
    assert 0.9 * WIDTH < last.x + last.width <= WIDTH
