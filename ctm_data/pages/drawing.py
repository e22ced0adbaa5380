"""Figures as files: a CSV with the numbers, and pictures for a column and for a page, by matplotlib."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctm_data.pages.palette import SERIES
from ctm_data.run.files import explained
from ctm_eval.errors import CtmError
from ctm_eval.output_file import output_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

WIDTHS = {"column": 3.35, "page": 6.9}  # inches, of a two-column page
MARKERS, DASHES = "os^DPv", ("-", "--", ":", "-.", (0, (8, 3)), (0, (1, 1)))
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "ctm",  # the same numbers give the same file
    "svg.fonttype": "none",
}


def write(figures: Iterable[Any], folder: Path) -> list[str]:
    """Writes `figures` (see `ctm_data.figures.Figure`) into `folder`, when all are drawn.

    Returns the names of the files. Raises CtmError if the folder cannot be made.
    """
    import matplotlib

    if folder.exists() and not folder.is_dir():
        raise CtmError(f"{folder} is a file; give a folder as --figures", usage=True)
    files: dict[str, bytes] = {}
    for figure in figures:
        files[f"{figure.name}.csv"] = _csv(figure)
        with matplotlib.rc_context(STYLE):
            for size, width in WIDTHS.items():
                picture = draw(figure, width)
                files[f"{figure.name}-{size}.svg"] = _saved(picture, "svg")
                files[f"{figure.name}-{size}.png"] = _saved(picture, "png")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with output_file(folder / name) as out:
            out.write(content)
    return list(files)


def draw(figure: Any, width: float) -> "Picture":
    """The picture of a figure, `width` inches wide."""
    from matplotlib.figure import Figure as Picture

    series = list(dict.fromkeys(point.series for point in figure.points))
    places = list(dict.fromkeys(point.x for point in figure.points))
    tall = 2.3 if figure.kind == "curve" else 0.55 + 0.12 * (len(series) + 1) * len(places)
    picture = Picture(figsize=(width, tall + 0.17 * len(series)), layout="constrained")
    axes = picture.subplots()
    (_curves if figure.kind == "curve" else _marks)(axes, figure, series, places)
    if len(series) > 1:
        picture.legend(loc="outside lower center", frameon=False, ncols=2 if width > 5 else 1)
    return picture


def _curves(axes: "Axes", figure: Any, series: Sequence[str], places: Sequence[Any]) -> None:
    for index, name in enumerate(series):
        own = sorted((point for point in figure.points if point.series == name), key=lambda p: p.x)
        look = _look(index) | {"linestyle": DASHES[index % len(DASHES)]}
        marked = [i for i, p in enumerate(own) if p.x & (p.x - 1) == 0 or i == len(own) - 1]
        x, y = [p.x for p in own], [100 * p.value for p in own]
        axes.plot(x, y, label=name, markevery=marked, markersize=4, **look)
        banded = [p for p in own if p.low is not None]
        axes.fill_between(
            [p.x for p in banded],
            [100 * p.low for p in banded],
            [100 * p.high for p in banded],
            color=look["color"],
            alpha=0.15,
            linewidth=0,
        )
    ticks = [k for k in places if k & (k - 1) == 0]
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.set_ylim(0, 100)
    axes.set_xlabel(figure.x)
    axes.set_ylabel(f"{figure.y}, %")


def _marks(axes: "Axes", figure: Any, series: Sequence[str], places: Sequence[Any]) -> None:
    scale = 100 if figure.unit == "share" else 1
    for index, name in enumerate(series):
        look = _look(index)
        off = 0.24 * (index - (len(series) - 1) / 2)
        own = [point for point in figure.points if point.series == name]
        y = [places.index(point.x) + off for point in own]
        axes.plot(
            [scale * point.value for point in own],
            y,
            label=name,
            markersize=4,
            linestyle="",
            **look,
        )
        for point, at in zip(own, y, strict=True):
            if point.low is not None:
                axes.plot(
                    [scale * point.low, scale * point.high],
                    [at, at],
                    color=look["color"],
                    linewidth=1,
                )
    axes.set_yticks(range(len(places)), [str(place) for place in places])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=4)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel(figure.x)
    axes.set_xlabel(f"{figure.y}, %" if figure.unit == "share" else figure.y)
    axes.grid(axis="x", alpha=0.3)


def _look(index: int) -> dict[str, Any]:
    return {
        "color": SERIES[index % len(SERIES)],
        "marker": MARKERS[index % len(MARKERS)],
        "clip_on": False,
    }


def _saved(picture: "Picture", kind: str) -> bytes:
    out = io.BytesIO()
    # No date, so that equal numbers give equal files.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    picture.savefig(out, format=kind, dpi=300, metadata=metadata)
    return out.getvalue()


def _csv(figure: Any) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["series", figure.x, figure.y, "low", "high", "n"])
    for point in figure.points:
        writer.writerow([point.series, point.x, point.value, point.low, point.high, point.n])
    return out.getvalue().encode()
