"""Whether REST 3.0 answers, and how long its pages are (vendor: api-reference/rest-v3.md).

Nothing is read by it yet; its pages of up to 1,000 IDs would make a sweep cheaper.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from worker.bitrix24.auth import V3
from worker.bitrix24.calls import Answer, Outcome
from worker.errors import MethodNotFound, PortalError, TransientError
from worker.resources.probe.finding import NO, UNKNOWN, YES, Finding, trouble

METHOD = f"{V3}tasks.task.list"
LARGEST = 1000
"""What the page calls the maximum (tasks/tasks-task-list-rest-v3.md)."""
PARAMS: dict[str, Any] = {"select": ["id"], "order": {"id": "ASC"}, "pagination": {"limit": LARGEST}}


def findings(outcome: Outcome, total: int | None) -> list[Finding]:
    """`total`: how many tasks the account sees, where that is known."""
    if not isinstance(outcome, Answer):
        # An error in its own words is an answer of REST 3.0: the account only lacks the scope `tasks`.
        speaks = outcome.code.upper().startswith("BITRIX_REST_V3")
        value = YES if speaks else NO if isinstance(outcome, MethodNotFound) else UNKNOWN
        if not speaks and isinstance(outcome, TransientError) and outcome.status == 404:  # noqa: PLR2004 - HTTP's own
            value = NO
        return [Finding("rest3", value, trouble(outcome)), Finding("rest3.page", UNKNOWN, trouble(outcome))]
    try:
        parts = outcome.decode(dict[str, Sequence[Raw]])
    except PortalError:
        return [Finding(name, UNKNOWN, "another shape than its page shows") for name in ("rest3", "rest3.page")]
    rows = len(parts.get("items", ()))
    limit = rows >= LARGEST or (total is not None and 0 < rows < total)
    text = f"{rows} of {total} tasks in a page asked for with {LARGEST}"
    return [Finding("rest3", YES, text), Finding("rest3.page", str(rows) if limit else UNKNOWN, text)]
