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
    pairs = len(comparison.cases)
    sets = len({row.nacl for row in comparison.traps})
    figure, axes = pyplot.subplots(
        3 + bool(sets), 1,
        figsize=(10, (pairs + sets + len(comparison.guests) + 4)
                 * INCHES_OF_A_PAIR),
        layout="constrained",
        height_ratios=[pairs, len(comparison.guests), 1,
                       sets][:3 + bool(sets)])
    _bars(axes[0], comparison.cases, 1)
    axes[0].set_title(
        f"Host instructions for one exit (-cpu {comparison.cpu})")
    _bars(axes[1], comparison.guests, 1e6)
    axes[1].set_title("Million instructions")
    _bars(axes[2], [comparison.text], 1024)
    axes[2].set_title("KiB")
    if sets:
        _traps(axes[3], comparison.traps)
    axes[0].legend(handles=[
        pyplot.Rectangle((0, 0), 1, 1, color=C_COLOUR, label="C"),
        pyplot.Rectangle((0, 0), 1, 1, color=RUST_COLOUR, label="Rust"),
        Line2D([], [], color="black", linestyle="--",
               label="limit"),
    ], loc="center right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


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


def _traps(axis, rows):
    """For each set of features the mean over all kinds of exits."""
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
