"""A run is told where something changed, went wrong or became well again; a quiet one is not."""

import logging

import pytest

from worker.errors import IncompleteRun
from worker.sync.report import Mode, Report
from worker.sync.telling import Teller, sentence


def report(*, error: str | None = None, **counts: int) -> Report:
    made = Report("m1", "tasks", Mode.INCREMENTAL, **counts)  # type: ignore[arg-type]
    if error:
        made.fail(IncompleteRun(error))
    return made


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def levels(told: pytest.LogCaptureFixture, *reports: Report) -> list[str]:
    teller = Teller()
    for number, one in enumerate(reports):
        teller.tell("acme.example", [one], [number])
    return [record.levelname for record in told.records]


def test_a_quiet_run_writes_nothing_at_info(told: pytest.LogCaptureFixture):
    assert levels(told, report(fetched=5, unchanged=5), report()) == ["DEBUG", "DEBUG"]


def test_a_change_is_told(told: pytest.LogCaptureFixture):
    assert levels(told, report(inserted=1), report(deleted=1), report(revived=1)) == ["INFO"] * 3


def test_a_trouble_is_a_warning_once_and_its_end_is_told(told: pytest.LogCaptureFixture):
    bad, worse = report(error="no answer"), report(error="cut off")
    assert levels(told, bad, bad, worse, bad, report(), report()) == [
        "WARNING",
        "DEBUG",
        "WARNING",
        "WARNING",
        "INFO",
        "DEBUG",
    ]


def test_a_record_that_stays_rejected_is_told_once(told: pytest.LogCaptureFixture):
    assert levels(told, report(rejected=1), report(rejected=1), report()) == ["WARNING", "DEBUG", "INFO"]


def test_a_change_beside_a_lasting_trouble_is_told(told: pytest.LogCaptureFixture):
    bad = report(error="no answer", updated=2)
    assert levels(told, bad, bad) == ["WARNING", "INFO"]


def test_a_line_carries_the_figures_of_its_run(told: pytest.LogCaptureFixture):
    Teller().tell("acme.example", [report(inserted=3)], [12])
    facts = told.records[0].__dict__["facts"]

    assert (facts["run"], facts["portal"], facts["domain"]) == (12, "m1", "acme.example")
    assert (facts["resource"], facts["inserted"], facts["error"]) == ("tasks", 3, None)


def test_a_sentence_leaves_out_what_did_not_happen():
    assert sentence(report(fetched=1200, inserted=3, deleted=1)) == (
        "tasks: ok, 3 new, 1 deleted (incremental, 1,200 read in 0.0 s)"
    )
    assert sentence(report(error="no answer")) == "tasks: incomplete (incremental, 0 read in 0.0 s): no answer"
