"""Every fault of the emulator against every resource: what comes of it is what docs/chaos.md says."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.chaos.cells import Bench, Cell
from tests.chaos.page import page
from tests.chaos.troubles import RUNS, Trouble, troubles
from worker.emulator.faults import CALL_KINDS, REQUEST_KINDS, TOKEN_KINDS

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
COLUMNS = [(run, resource) for run, resources in RUNS.items() for resource in resources]
WRITE = bool(os.environ.get("WRITE_CHAOS"))
"""Set by `make chaos`."""

Column = dict[Trouble | None, Cell]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Column]:
    """Measures one resource in one mode under every trouble, once."""

    @cache
    def column(run: str, resource: str) -> Column:
        bench = Bench(tmp_path_factory.mktemp(f"{run}-{resource}"), run, resource)
        try:
            return {trouble: bench.cell(trouble) for trouble in (None, *troubles(run))}
        finally:
            bench.close()

    return column


@pytest.mark.parametrize(("run", "resource"), COLUMNS, ids=["-".join(column) for column in COLUMNS])
def test_no_trouble_breaks_a_promise(measured: Callable[[str, str], Column], run: str, resource: str):
    """The cells assert the promises themselves; a run without trouble is ok."""
    column = measured(run, resource)
    assert column[None].outcome == "ok"
    assert all(cell.requests for cell in column.values())
    met = {trouble.kind for trouble, cell in column.items() if trouble and cell.outcome != "-"}
    assert met >= REQUEST_KINDS | TOKEN_KINDS


def test_every_kind_of_fault_meets_some_resource(measured: Callable[[str, str], Column]):
    met = {
        trouble.kind
        for column in COLUMNS
        for trouble, cell in measured(*column).items()
        if trouble and cell.outcome != "-"
    }
    assert met == REQUEST_KINDS | CALL_KINDS | TOKEN_KINDS


def test_the_published_matrix_is_the_one_just_measured(measured: Callable[[str, str], Column]):
    now = page({column: measured(*column) for column in COLUMNS})
    if WRITE:
        PAGE.write_text(now, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == now, "run `make chaos`, and read what changed"
