# SPDX-License-Identifier: GPL-2.0
"""The comparison as a picture."""

import textwrap

import matplotlib

matplotlib.use("svg")
# pylint: disable=wrong-import-position
from matplotlib import pyplot  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

from .report import LIMIT  # noqa: E402

C_COLOUR = "#5b7a99"
RUST_COLOUR = "#d1713c"
WIDTH = 0.38


def draw(comparison, path):
    """Write an SVG that is the same for the same numbers."""
    matplotlib.rcParams["svg.hashsalt"] = "exit-cost"
    figure, axes = pyplot.subplots(
        1, 3, figsize=(12, 4.8), layout="constrained",
        width_ratios=[max(len(comparison.cases), 3), 1.1, 1.1])
    _bars(axes[0], comparison.cases, 1)
    axes[0].set_title(
        f"Host instructions for one exit (-cpu {comparison.cpu})")
    axes[0].set_ylabel("instructions")
    _bars(axes[1], [comparison.boot], 1e6)
    axes[1].set_title("Million instructions")
    _bars(axes[2], [comparison.text], 1024)
    axes[2].set_title("KiB")
    axes[0].legend(handles=[
        pyplot.Rectangle((0, 0), 1, 1, color=C_COLOUR, label="C"),
        pyplot.Rectangle((0, 0), 1, 1, color=RUST_COLOUR, label="Rust"),
        Line2D([], [], color="black", linestyle="--",
               label=f"limit: {LIMIT} of C"),
    ], loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _bars(axis, pairs, unit):
    limited = len(pairs) > 1
    highest = 0
    for place, pair in enumerate(pairs):
        for offset, value, colour in ((-WIDTH / 2, pair.c, C_COLOUR),
                                      (WIDTH / 2, pair.rust, RUST_COLOUR)):
            bar = axis.bar(place + offset, value / unit, WIDTH, color=colour)
            axis.bar_label(bar, [f"{value / unit:.0f}"], color="white",
                           label_type="center", fontsize=9)
            highest = max(highest, value / unit)
        if limited:
            axis.hlines(pair.c * LIMIT / unit, place - WIDTH, place + WIDTH,
                        colors="black", linestyles="--", linewidth=1.2)
            highest = max(highest, pair.c * LIMIT / unit)
    axis.set_xticks(range(len(pairs)), [
        textwrap.fill(pair.title, 18) + f"\n= {pair.ratio:.3f} of C"
        for pair in pairs])
    axis.set_xlim(-0.6, len(pairs) - 0.4)
    axis.set_ylim(0, highest * 1.25)
    axis.spines[["top", "right"]].set_visible(False)
