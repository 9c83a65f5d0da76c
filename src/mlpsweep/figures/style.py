"""The house style of every figure: colours, titles, legends, and deterministic PNG files."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure as Figure  # also for modules that only pass figures on

from mlpsweep.files import write_atomic

DPI: Final = 160
"""Pixels per inch of a written figure; a 4-inch panel stays sharp at 360 CSS pixels on a double-density screen."""

CROWD: Final = 1000
"""Number of marks of one figure beyond which each is drawn weaker."""

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Marker of each colour of ``SERIES``, so that a reader need not tell lines apart by colour."""


SURFACE: Final = "#ffffff"
INK: Final = "#1a1d21"
MUTED: Final = "#5b6470"
GRID: Final = "#e3e6ea"

SERIES: Final = ("#0072b2", "#d55e00", "#009e73", "#b0578d", "#b07700", "#3a93cc", "#6b6b6b")
"""Colours of lines and points in order of use, after Okabe and Ito: all common colour visions tell them apart."""

AMOUNTS: Final = LinearSegmentedColormap.from_list("amounts", [SURFACE, SERIES[0], "#002a45"])
"""Colours of amounts, from zero to the largest."""

DIFFERENCES: Final = LinearSegmentedColormap.from_list("differences", [SERIES[1], SURFACE, SERIES[0]])
"""Colours of differences, from negative over zero to positive."""

IMAGES: Final = "gray_r"
"""Matplotlib's name for the colours of pixel images: ink on paper."""

IMAGE, LINE, TITLE, MARGIN = 0.5, 0.15, 0.34, 0.1
"""Inches: height of a pixel image, of a line of text and of a title, and width of the margins."""


PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "figure.facecolor": SURFACE,
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "auto",
        "axes.facecolor": SURFACE,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.labelsize": 9,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "text.color": INK,
        "text.parse_math": False,  # users choose names: a dollar sign is a dollar sign
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "font.size": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 3.5,
        "image.cmap": IMAGES,
        "image.interpolation": "nearest",
    }
)


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Apply the house style inside the block only, whatever the user's matplotlibrc says."""
    with matplotlib.style.context(["default", dict(PARAMETERS)]):
        yield


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG bytes that depend on its content and Matplotlib's version alone."""
    stream = io.BytesIO()
    with drawing():  # fonts and ticks are settled while drawing
        figure.savefig(stream, format="png", dpi=DPI, facecolor=figure.get_facecolor(), metadata={"Software": None})
    return stream.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically and with the same bytes each time.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    write_atomic(path, png_bytes(figure))


def crowded(n_marks: int) -> float:
    """Return the share of their strength that marks keep, so that thousands do not become one patch of colour."""
    return min(1.0, CROWD / max(1, n_marks))


def readable_on(colour: Any) -> str:
    """Return black or white, whichever reads better on ``colour``."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue  # WCAG 2
    return "#000000" if luminance > 0.179 else "#ffffff"


def headline(figure: Figure, title: str, **place: float) -> None:
    """Set the title over a whole figure; ``figure`` is modified in place."""
    figure.suptitle(title, ha="left", va="top", fontsize=10, fontweight="bold", **({"x": 0.01} | place))


def legend_below(figure: Figure, n_columns: int = 4) -> None:
    """Put one legend for all axes under them, where it covers no data; ``figure`` is modified in place.

    The legend has as many columns as fit the figure's width, ``n_columns`` at most.
    """
    entries: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        entries |= dict(zip(names, handles, strict=True))
    for columns in range(min(n_columns, len(entries)), 0, -1):
        legend = figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def sheet(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """Return a figure with a title and one pair of axes, in inches and with y downwards, for images and their labels.

    One small axes object per image would look the same, and take seconds to lay out.
    """
    lines = title.splitlines() or [""]
    over = TITLE + 0.17 * (len(lines) - 1)
    width, height = max(width, 0.085 * max(map(len, lines)), 1.0) + 2 * MARGIN, height + over
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    bare(axes)
    axes.set(xlim=(-MARGIN, width - MARGIN), ylim=(height - over, -over))
    axes.autoscale(enable=False)
    headline(figure, title, x=MARGIN / width, y=1 - 0.08 / height)
    return figure, axes


def place(axes: Axes, image: npt.NDArray[np.generic], x: float, y: float, top: int) -> None:
    """Draw an image with its upper left corner at (x, y), ``IMAGE`` inches high; ``top`` is the darkest pixel."""
    height, width = image.shape
    extent = (x, x + IMAGE * width / height, y + IMAGE, y)
    axes.imshow(image, extent=extent, vmin=0, vmax=top, cmap=IMAGES, aspect="auto")


def bare(axes: Axes) -> None:
    """Strip ticks, grid and frame from axes that hold a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
