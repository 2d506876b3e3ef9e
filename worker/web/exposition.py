"""Prometheus' text form (prometheus.io/docs/instrumenting/exposition_formats). Pure.

The client library's own writer makes an object of every sample and looks at every label's name anew: for 5,000 portals,
400,000 samples, that is seconds in which no other thread of the process runs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from prometheus_client.utils import floatToGoString

Sample = tuple[Sequence[str], float]
"""The values of the labels, in the definition's order, and the value."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric: "counter" (only grows; its name ends in `_total`) or "gauge", its labels, and what it says."""

    kind: str
    labels: tuple[str, ...]
    meaning: str


def expose(metrics: Mapping[str, Definition], samples: Mapping[str, Iterable[Sample]]) -> str:
    """All metrics, also those without samples. What is said of them needs no escaping: it is ours."""
    return "".join(_lines(metrics, samples))


def _lines(metrics: Mapping[str, Definition], samples: Mapping[str, Iterable[Sample]]) -> Iterator[str]:
    text, number = cache(_escaped), cache(floatToGoString)  # the same few thousand again and again
    for name, definition in metrics.items():
        yield f"# HELP {name} {definition.meaning}\n# TYPE {name} {definition.kind}\n"
        line = name + "{" + ",".join(f'{label}="%s"' for label in definition.labels) + "} %s\n"
        for labels, value in samples.get(name, ()):
            yield line % (*map(text, labels), number(value))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
