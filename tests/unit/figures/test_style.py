import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from mlpsweep.figures.style import drawing, headline, legend_below, png_bytes, readable_on, save_figure


def make_figure(title: str = "title") -> Figure:
    with drawing():
        figure = Figure(figsize=(2, 1.5))
        axes = figure.subplots()
        axes.plot([1, 2], [3, 4], label=title)
        axes.set_title(title)
        legend_below(figure)
    return figure


def test_the_style_ends_with_the_block():
    before = dict(mpl.rcParams)
    with drawing():
        assert mpl.rcParams["legend.frameon"] is False
    assert dict(mpl.rcParams) == before


def test_bytes_do_not_depend_on_the_users_settings():
    plain = png_bytes(make_figure())
    with mpl.rc_context({"font.size": 30, "figure.facecolor": "red", "savefig.dpi": 20}):
        assert png_bytes(make_figure()) == plain


def test_equal_figures_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        save_figure(make_figure(), tmp_path / name / "figure.png")
    assert (tmp_path / "a/figure.png").read_bytes() == (tmp_path / "b/figure.png").read_bytes()


def test_another_title_is_another_figure():
    assert png_bytes(make_figure("one")) != png_bytes(make_figure("two"))


@pytest.mark.parametrize("name", ["$x^2$", "$", "a_b", "<img src=x onerror=alert(1)>", "ü → ẞ", r"\frac{1}{"])
def test_names_are_drawn_as_they_are(name):
    figure = make_figure(name)
    assert not figure.axes[0].title.get_parse_math()
    assert png_bytes(figure)


def test_headline_starts_at_the_left():
    figure = Figure()
    headline(figure, "all")
    assert figure.get_suptitle() == "all"


def test_one_legend_names_each_line_once():
    with drawing():
        figure = Figure()
        for axes in figure.subplots(1, 2):
            axes.plot([1], [1], label="train")
        legend_below(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train"]


def test_no_lines_no_legend():
    figure = Figure()
    legend_below(figure)
    assert not figure.legends


@pytest.mark.parametrize(
    ("background", "text"),
    [("#ffffff", "#000000"), ("#002a45", "#ffffff"), ("#0072b2", "#ffffff"), ("#d55e00", "#000000")],
)
def test_text_on_a_cell_is_the_better_of_black_and_white(background, text):
    assert readable_on(background) == text
