"""The text that Prometheus reads."""

from collections.abc import Iterator, Mapping
from math import inf

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.web.exposition import Definition, Sample, expose

METRICS = {
    "b24sync_rows": Definition("gauge", ("portal", "resource"), "Rows of the mirror"),
    "b24sync_runs_total": Definition("counter", ("portal",), "Runs, by how they ended"),
    "b24sync_nothing": Definition("gauge", ("portal",), "Never seen"),
}
SAMPLES: Mapping[str, list[Sample]] = {
    "b24sync_rows": [(("m1", "tasks"), 3.0), (("m1", "users"), 0.0), (('a "quoted" \\ name\nof two', "tasks"), inf)],
    "b24sync_runs_total": [(("m1",), 12_345_678.0), (("ünï",), 0.25)],
}


class Library(Collector):
    def collect(self) -> Iterator[Metric]:
        for name, definition in METRICS.items():
            kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
            family = kind(name, definition.meaning, labels=definition.labels)
            for labels, value in SAMPLES.get(name, ()):
                family.add_metric(labels, value)
            yield family


def test_the_text_is_that_of_the_client_library():
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Library())

    assert expose(METRICS, SAMPLES) == generate_latest(registry).decode()


@pytest.mark.parametrize(("value", "text"), [(7, "7.0"), (-1.5, "-1.5"), (inf, "+Inf"), (2e9, "2e+09")])
def test_a_value_is_told_as_the_client_library_does(value: float, text: str):
    samples = {"b24sync_nothing": [(("m",), value)]}

    assert expose(METRICS, samples).splitlines()[-1] == f'b24sync_nothing{{portal="m"}} {text}'
