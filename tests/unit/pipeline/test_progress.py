"""The line of a bar: what a narrow terminal leaves out, and in which order."""

import pytest

from pipeline.progress import MAX_BAR, fitted

PARTS = ("epoch 3/15", "validation 97.10 %", "loss 0.08124", "123,456 samples/s")


@pytest.mark.parametrize("width", range(20, 200))
def test_bar_and_time_stay_and_the_line_fits(width: int) -> None:
    name, text, bar = fitted("relu 500-250-100 lr=0.01", PARTS, width)
    assert 1 <= bar <= MAX_BAR
    assert len(name) + len(text) + bar + len("0:00:00") + 3 <= width


def test_the_rate_goes_first_then_the_loss_then_the_name() -> None:
    lines = [fitted("relu 64", PARTS, width)[:2] for width in range(120, 15, -1)]
    assert list(dict.fromkeys(lines)) == [
        ("relu 64", "  ".join(PARTS)),
        ("relu 64", "  ".join(PARTS[:3])),
        ("relu 64", "  ".join(PARTS[:2])),
        ("", "  ".join(PARTS[:2])),
        ("", PARTS[0]),
        ("", ""),
    ]
