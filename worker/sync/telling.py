"""What the log says of a run: a line where something changed, went wrong or became well; else nothing at INFO."""

import logging
from collections.abc import Iterable, Sequence

from worker.log import News, facts
from worker.sync.report import Report, Status

log = logging.getLogger(__name__)

WELL = (Status.OK, None, 0)
COUNTS = ("inserted", "updated", "revived", "deleted", "rejected")
WORDS = {"inserted": "new"}


class Teller:
    """Remembers how each resource was when it was last told of, in this process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._news = News()

    def tell(self, portal: str, reports: Sequence[Report], run_ids: Iterable[int]) -> None:
        """Log the runs of one turn.

        Args:
            portal: The portal's domain.
            reports: What was due.
            run_ids: `sync_runs.id` of each.
        """
        for report, run_id in zip(reports, run_ids, strict=True):
            level = self._level(report)
            if log.isEnabledFor(level):
                told = facts(domain=portal, run=run_id, **report.as_dict())
                log.log(level, "%s %s", portal, sentence(report), extra=told)

    def _level(self, report: Report) -> int:
        state = (report.status, report.error, report.rejected)
        new = self._news.is_new((report.portal, report.resource), state, at_first=WELL)
        if not new and not report.changes:
            return logging.DEBUG
        return logging.WARNING if new and state[1:] != WELL[1:] else logging.INFO


def sentence(report: Report) -> str:
    """A run as a person reads it: `tasks: ok, 3 new, 1 deleted (incremental, 12 read in 0.4 s)`."""
    counts = ((name, getattr(report, name)) for name in COUNTS)
    parts = [str(report.status), *(f"{count:,} {WORDS.get(name, name)}" for name, count in counts if count)]
    why = f": {report.error}" if report.error else ""
    return (
        f"{report.resource}: {', '.join(parts)} ({report.mode}, {report.fetched:,} read in {report.seconds:.1f} s){why}"
    )
