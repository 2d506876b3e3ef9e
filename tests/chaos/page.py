"""The chaos matrix as a page: docs/chaos.md, word for word."""

from collections.abc import Mapping

from tests.chaos.cells import Cell
from tests.chaos.troubles import CHANGES, FIRST, RUNS, SWEEP, Trouble, troubles

Matrix = Mapping[tuple[str, str], Mapping[Trouble | None, Cell]]
"""Run and resource, then trouble; None: the healthy run."""

INTRODUCTION = """\
# What b24sync does when the portal misbehaves

The emulated portal of the tests can go wrong in {kinds} ways. Each of them is put in the way of every resource: of its
first run, of a run that looks for changes, and of a sweep of all IDs (`--reconcile`; planner and calendar have none:
they are read whole in every run). "events" is the portal's queue of offline events, read beside the changes of tasks.
This page is written by `make chaos` and compared with a new measurement by `make test`, so it cannot be out of date.

Every cell was held to these promises, and the tests fail if one is broken:

- A run that says `ok` is equal to the portal in all that its mode promises to find ([promises.md](promises.md)).
- Nothing is marked as deleted that is there.
- The cursor moves only past what was read whole: if the run is `ok`, or if only its sweep is not.
- A run that is not `ok` says why.
- The next run without trouble makes the mirror equal to the portal.

A cell is the outcome and the number of HTTP requests of the whole run, those to the token server included.

| outcome | what it means |
|---|---|
| repaired | the run met the trouble, got over it by itself, and is `ok` |
| kept aside | the run is `ok`; a record that cannot be read is listed by `b24sync rejected`, and heals later |
| incomplete | not everything could be read: nothing deleted, no cursor moved; the next run goes on |
| failed | nobody answered, or the portal refused: the next run begins where this one began |
| reconnect | `failed`, and a person must run `b24sync connect`: the refresh token is dead or lost |
| later | the run is `ok` without the queue of events: a deletion that it would have told is known one turn later |
| - | the trouble cannot meet this resource |

`guarded` is not among them: none of these makes records look deleted in bulk. "(throughout)" means that every answer of
the run was spoiled; otherwise one was. Whole requests and the token server are in the way of all resources alike, so
throughout is measured where changes are looked for, and only where the run asks again at all.
"""

HEADINGS = {FIRST: "First run", CHANGES: "Looking for changes", SWEEP: "Sweep of all IDs"}


def page(matrix: Matrix) -> str:
    """The whole page."""
    kinds = len({(trouble.where, trouble.kind) for trouble in troubles(FIRST)})
    return "\n".join([INTRODUCTION.format(kinds=kinds), *(_table(run, matrix) for run in RUNS)])


def _table(run: str, matrix: Matrix) -> str:
    resources = RUNS[run]
    lines = [f"## {HEADINGS[run]}", "", f"| trouble | {' | '.join(resources)} |", f"|---|{'---|' * len(resources)}"]
    for trouble in (None, *troubles(run)):
        cells = [str(matrix[run, resource][trouble]) for resource in resources]
        lines.append(f"| {_name(trouble)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _name(trouble: Trouble | None) -> str:
    if trouble is None:
        return "none"
    where = " of the token server" if trouble.where == "token" else ""
    return f"`{trouble.kind}`{where}{' (throughout)' if trouble.lasts else ''}"
