"""What is tried on a list method: order, `>ID`, `start=-1`, counts, and references inside a batch.

Each is looked at in the rows that come, not in what the portal says of itself. A portal lives: a row that is added or
deleted between two calls must not make a liar of it, so no count is compared with another call's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from worker.bitrix24.calls import Answer, Answers, Call, Outcome, Ref
from worker.bitrix24.rows import ListMethod, read_page
from worker.errors import BadAnswer, CallRefused
from worker.resources.probe.finding import NO, UNKNOWN, YES, Finding, trouble, yes_or_no

RESTART, EMPTY, ERROR = "restart", "empty", "error"
"""What becomes of a reference to a row that is not there: the table from its start, nothing, a failed call."""


@dataclass
class ListProbe:
    """One list method: `first()`, then with its answers `second()`, then `findings()`.

    Args:
        name: Of the resource; begins its capabilities.
        spec: How it is asked.
    """

    name: str
    spec: ListMethod
    up: Sequence[int] | None = None
    down: Sequence[int] | None = None
    total: int | None = None
    _findings: list[Finding] = field(default_factory=list)

    def first(self, *fields: str) -> list[Call]:
        """Both ends of the list, by ID; `fields` are selected too."""
        select = {"select": [self.spec.id_param, *fields]}
        up = {**self.spec.page(conditions={}, start=0, only_id=True), **select}
        down = {**self.spec.page(conditions={}, start=0, descending=True, only_id=True), **select}
        return [Call(f"{self.name}_up", self.spec.method, up), Call(f"{self.name}_down", self.spec.method, down)]

    def learn(self, answers: Answers) -> None:
        """Take the answers to `first`."""
        up, down = (answers.outcomes.get(f"{self.name}_{way}", _unanswered(self.spec)) for way in ("up", "down"))
        self.up, self.down = self.ids(up), self.ids(down)
        self.total = up.total if isinstance(up, Answer) else None
        self._findings += [self._order(up, down), *self._counts(up)]

    @property
    def pivot(self) -> int | None:
        """An ID with rows on both sides where there are three, and at least one above it; None for fewer than two."""
        known = sorted({*(self.up or ()), *(self.down or ())})
        return known[(len(known) - 1) // 2] if len(known) > 1 else None

    def after(self, key: str) -> Call:
        """The page after the pivot as the sync asks for it."""
        return self._above(key, self.pivot)

    def second(self) -> list[Call]:
        """What needs an ID to ask for."""
        if self.pivot is None:
            return []
        after, one = self.after(f"{self.name}_after"), f"{self.name}_one"
        only = self.spec.page(conditions={self.spec.id_param: self.pivot}, start=0, only_id=True)
        row_of = self.spec.last_row(one)
        return [
            after,
            self._above(f"{self.name}_chained", Ref(after.key, (*self.spec.items, 0, self.spec.id_field))),
            Call(one, self.spec.method, only),
            self._above(f"{self.name}_missing", row_of),
            Call(f"{self.name}_next", self.spec.method, self._second_page()),
        ]

    def findings(self, answers: Answers) -> list[Finding]:
        """Everything, with the answers to `second`."""
        if self.pivot is None:
            names = ("after_id", "uncounted", "reference", "missing_row", "start")
            few = "fewer than two rows to look at"
            return [*self._findings, *(Finding(f"{self.name}.{name}", UNKNOWN, few) for name in names)]
        got = {
            name: answers.outcomes.get(f"{self.name}_{name}", _unanswered(self.spec))
            for name in ("after", "chained", "one", "missing", "next")
        }
        return [
            *self._findings,
            self.after_id(got["after"]),
            self._uncounted(got["after"]),
            self._reference(got["after"], got["chained"]),
            self._missing_row(got["one"], got["missing"]),
            self._start(got["next"]),
        ]

    def after_id(self, outcome: Outcome) -> Finding:
        """Whether `>ID` is honoured, by the page after the pivot."""
        ids = self.ids(outcome)
        if ids is None:
            return self._finding("after_id", _refused(outcome, NO), trouble(outcome))
        wrong = [one for one in ids if one <= (self.pivot or 0)]
        text = f"asked for IDs above {self.pivot}: {len(ids)} rows, {len(wrong)} of them not above"
        return self._finding("after_id", yes_or_no(bool(ids) and not wrong), text)

    def alone(self, counted: Outcome, after: Outcome | None, answers: Answers) -> Finding:
        """Whether calls by themselves bring the same rows as in a batch."""
        inside = answers.outcomes.get(f"{self.name}_after", _unanswered(self.spec))
        pairs = [(self.up, self.ids(counted)), (self.ids(inside), self.ids(after) if after else None)]
        pages = [(one, other) for one, other in pairs if one is not None and other is not None]
        if self.pivot is None or not pages:
            return self._finding("alone", UNKNOWN, "fewer than two rows to look at")
        # A row that is added or deleted between the requests changes few of them, a condition that is dropped most.
        close = [2 * len(set(one) & set(other)) >= max(len(one), len(other)) for one, other in pages]
        text = f"{sum(close)} of {len(close)} pages show the same rows by themselves and in a batch"
        return self._finding("alone", yes_or_no(all(close)), text)

    def ids(self, outcome: Outcome) -> list[int] | None:
        """The IDs of a page as they came; None where there is none."""
        if not isinstance(outcome, Answer):
            return None
        try:
            return [record.id for record in read_page(outcome, self.spec).records]
        except BadAnswer:
            return None

    def _above(self, key: str, last: object) -> Call:
        conditions = {f">{self.spec.id_param}": last}
        return Call(key, self.spec.method, self.spec.page(conditions=conditions, start=-1, only_id=True))

    def _second_page(self) -> dict[str, object]:
        return self.spec.page(conditions={}, start=self.spec.page_size, only_id=True)

    def _order(self, first: Outcome, last: Outcome) -> Finding:
        if self.up is None or self.down is None:
            return self._finding("order", UNKNOWN, trouble(first if self.up is None else last))
        if len(self.up) <= 1 or len(self.down) <= 1:
            return self._finding("order", UNKNOWN, "fewer than two rows to look at")
        rises = list(self.up) == sorted(set(self.up))
        falls = list(self.down) == sorted(set(self.down), reverse=True)
        up, down = ("kept" if kept else "not kept" for kept in (rises, falls))
        text = f"asked by rising ID: {up}; by falling ID: {down}"
        return self._finding("order", yes_or_no(rises and falls), text)

    def _counts(self, up: Outcome) -> list[Finding]:
        if not isinstance(up, Answer) or self.up is None:
            return [self._finding(name, UNKNOWN, trouble(up)) for name in ("total", "next")]
        seen = f"a page of {len(self.up)} rows with total {up.total}, next {up.next}"
        total = UNKNOWN if not self.up else yes_or_no(up.total is not None)
        full = len(self.up) >= self.spec.page_size and (up.total is None or up.total > len(self.up))
        return [
            self._finding("total", total, seen),
            self._finding("next", yes_or_no(up.next is not None) if full else UNKNOWN, seen),
        ]

    def _uncounted(self, outcome: Outcome) -> Finding:
        if not isinstance(outcome, Answer):
            return self._finding("uncounted", _refused(outcome, NO), trouble(outcome))
        # user.get says 0 instead of nothing (vendor's PHP).
        counted = bool(outcome.total) or outcome.next is not None
        return self._finding("uncounted", yes_or_no(not counted), f"start=-1 came with total {outcome.total}")

    def _reference(self, after: Outcome, chained: Outcome) -> Finding:
        before, ids = self.ids(after), self.ids(chained)
        if not before:
            return self._finding("reference", UNKNOWN, "no row to refer to")
        if ids is None:
            return self._finding("reference", _refused(chained, NO), trouble(chained))
        wrong = [one for one in ids if one <= before[0]]
        text = f"referred to ID {before[0]} of the page before: {len(ids)} rows, {len(wrong)} of them not above"
        # An empty page proves something only where rows above are known to be there.
        whole = bool(ids) or len(before) == 1
        return self._finding("reference", yes_or_no(whole and not wrong), text)

    def _missing_row(self, one: Outcome, missing: Outcome) -> Finding:
        rows, ids = self.ids(one), self.ids(missing)
        if rows is None or len(rows) >= self.spec.page_size:
            return self._finding("missing_row", UNKNOWN, "no page that is known to be short")
        if ids is None:
            return self._finding("missing_row", _refused(missing, ERROR), trouble(missing))
        text = f"referred to row {self.spec.page_size} of a page of {len(rows)}: {len(ids)} rows"
        return self._finding("missing_row", RESTART if ids else EMPTY, text)

    def _start(self, outcome: Outcome) -> Finding:
        """Whether pages by number are others: looked at only where there is a second one."""
        ids = self.ids(outcome)
        if ids is None or self.up is None or self.total is None or self.total <= self.spec.page_size:
            return self._finding("start", UNKNOWN, "no second page to ask for")
        again = len(set(ids) & set(self.up))
        value = YES if ids and not again else NO
        return self._finding("start", value, f"the second page: {len(ids)} rows, {again} of them on the first")

    def _finding(self, name: str, value: str, evidence: str) -> Finding:
        return Finding(f"{self.name}.{name}", value, evidence)


def _refused(outcome: Outcome, value: str) -> str:
    """`value` where the portal refuses the call; anything else passes, and says nothing."""
    return value if isinstance(outcome, CallRefused) else UNKNOWN


def _unanswered(spec: ListMethod) -> Outcome:
    return BadAnswer("the portal left this call unanswered", method=spec.method)
