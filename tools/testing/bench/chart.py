# SPDX-License-Identifier: GPL-2.0
"""The comparison as a picture."""

import matplotlib

matplotlib.use("svg")
# pylint: disable=wrong-import-position
from matplotlib import pyplot  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

C_COLOUR = "#5b7a99"
RUST_COLOUR = "#d1713c"
HEIGHT = 0.38
INCHES_OF_A_PAIR = 0.48


def draw(comparison, path):
    """Write an SVG that is the same for the same numbers."""
    matplotlib.rcParams["svg.hashsalt"] = "exit-cost"
    sets = len({row.nacl for row in comparison.traps})
    # What there is to draw of each, and how.
    parts = [(height, draw_part) for height, draw_part in (
        (len(comparison.cases), _exits), (len(comparison.guests), _guests),
        (1, _text), (sets, _traps)) if height]
    heights = [height for height, _ in parts]
    figure, axes = pyplot.subplots(
        len(parts), 1,
        figsize=(10, (sum(heights) + len(parts)) * INCHES_OF_A_PAIR),
        layout="constrained", height_ratios=heights)
    for axis, (_, draw_part) in zip(axes, parts):
        draw_part(axis, comparison)
    axes[0].legend(handles=[
        pyplot.Rectangle((0, 0), 1, 1, color=C_COLOUR, label="C"),
        pyplot.Rectangle((0, 0), 1, 1, color=RUST_COLOUR, label="Rust"),
        Line2D([], [], color="black", linestyle="--",
               label="limit"),
    ], loc="center right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _exits(axis, comparison):
    _bars(axis, comparison.cases, 1)
    kernel = f", KERNEL={comparison.stock}" if comparison.stock else ""
    axis.set_title(
        f"Host instructions for one exit (-cpu {comparison.cpu}{kernel})")


def _guests(axis, comparison):
    _bars(axis, comparison.guests, 1e6)
    axis.set_title("Million instructions")


def _text(axis, comparison):
    _bars(axis, [comparison.text], 1024)
    axis.set_title("KiB")


def _bars(axis, pairs, unit):
    longest = max(max(pair.c, pair.rust) for pair in pairs) / unit
    for place, pair in enumerate(pairs):
        for offset, value, colour in ((-HEIGHT / 2, pair.c, C_COLOUR),
                                      (HEIGHT / 2, pair.rust, RUST_COLOUR)):
            bar = axis.barh(place + offset, value / unit, HEIGHT, color=colour)
            axis.bar_label(bar, [f"{value / unit:.0f}"], color="white",
                           label_type="center", fontsize=8)
        axis.vlines(pair.c * pair.limit / unit, place - HEIGHT, place + HEIGHT,
                    colors="black", linestyles="--", linewidth=1.2)
    axis.set_yticks(range(len(pairs)), [
        f"{pair.title}\n= {pair.ratio:.3f} of C"
        for pair in pairs], fontsize=9)
    axis.set_ylim(len(pairs) - 0.4, -0.6)
    axis.set_xlim(0, longest * 1.05)
    axis.spines[["top", "right"]].set_visible(False)


def _traps(axis, comparison):
    """For each set of features the mean over all kinds of exits."""
    rows = comparison.traps
    sets = list(dict.fromkeys(row.nacl for row in rows))
    for place, nacl in enumerate(sets):
        for offset, backend, colour in ((-HEIGHT / 2, "c", C_COLOUR),
                                        (HEIGHT / 2, "rust", RUST_COLOUR)):
            found = [getattr(row, backend) for row in rows if row.nacl == nacl]
            if not all(found):
                axis.text(0, place + offset, " C loses CSRs or fences: not measured",
                          va="center", fontsize=8)
                continue
            mean = sum(traps.all for traps in found) / len(found)
            bar = axis.barh(place + offset, mean, HEIGHT, color=colour)
            axis.bar_label(bar, [f"{mean:.2f}"], fontsize=8)
    axis.set_yticks(range(len(sets)), sets, fontsize=9)
    axis.set_ylim(len(sets) - 0.4, -0.6)
    axis.set_title("Traps to L0 for one exit, mean of all kinds, by the "
                   "features of SBI nested acceleration\n"
                   "(calls of NACL, accesses to H CSRs, HFENCE; not SRET)")
