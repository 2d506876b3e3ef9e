"""The last runs of a resource as a strip of bars. Pure: figures in, rectangles out.

A bar is one run (or the sum of an hour's quiet ones): its length is the time it took, its height the rows it wrote, its
colour how it ended. Both grow with the logarithm: a first reading writes a thousand times what a quiet round does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log1p, log2

from worker.storage.history import RunView
from worker.web import texts

WIDTH, HEIGHT = 480.0, 40.0
GAP = 2.0
THINNEST, THICKEST = 5.0, 40.0
LOWEST = 3.0
FULL_ROWS = 100
"""Rows that fill the height, where no run of the strip wrote more."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle in a picture of `WIDTH` x `HEIGHT`, its colour's name, and what it says when asked."""

    x: float
    y: float
    width: float
    height: float
    status: str
    text: str


def written(run: RunView) -> int:
    """Rows that a run wrote."""
    return run.inserted + run.updated + run.deleted + run.revived


def strip(runs: Sequence[RunView]) -> list[Bar]:
    """The bars of the last runs that fit, the newest at the right end."""
    most = log1p(max([FULL_ROWS, *map(written, runs)]))
    bars: list[Bar] = []
    right = WIDTH
    for run in reversed(runs):
        width = min(THICKEST, THINNEST + 4 * log2(1 + max(0.0, run.seconds) / run.folded))
        if right - width < 0:
            break
        height = LOWEST + (HEIGHT - LOWEST) * log1p(written(run)) / most
        bars.append(
            Bar(
                round(right - width, 1),
                round(HEIGHT - height, 1),
                round(width, 1),
                round(height, 1),
                run.status,
                texts.run(run),
            )
        )
        right -= width + GAP
    return bars[::-1]


def summary(bars: Iterable[Bar]) -> str:
    """The picture in a sentence, for who does not see it."""
    counts: dict[str, int] = {}
    for bar in bars:
        counts[bar.status] = counts.get(bar.status, 0) + 1
    return texts.strip_summary(counts)
