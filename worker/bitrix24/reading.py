"""The pages of one listing, as far as they could be read; and when to give it up. Pure."""

from worker.bitrix24.calls import Answer
from worker.bitrix24.rows import ListMethod, Page, read_page
from worker.errors import BadAnswer, PortalError, TransientError

MAX_FAILURES = 3  # in a row


class PageReader:
    """Takes outcomes of calls apart, and counts those in a row that brought no page."""

    def __init__(self, spec: ListMethod) -> None:
        self._spec = spec
        self._failures = 0
        self.error: PortalError | None = None
        """Of the batch that is being read."""

    def begin(self) -> None:
        """A batch has come."""
        self.error = None

    def read(self, outcome: Answer | PortalError, *, failure: bool = True) -> Page | None:
        """The page of an outcome; None for a failed one, which is noted unless it is no `failure`: a call never run."""
        if isinstance(outcome, Answer):
            try:
                page = read_page(outcome, self._spec)
            except BadAnswer as error:
                outcome = error
            else:
                self._failures = 0
                return page
        if failure:
            self.error = outcome
            self._failures += 1
        return None

    @property
    def gives_up(self) -> str | None:
        """Why it is of no use to ask again."""
        if self.error is None or not self._failures:
            return None
        hopeless = not isinstance(self.error, TransientError) or self._failures >= MAX_FAILURES
        return str(self.error) if hopeless else None
