"""What the probe found: one belief, what is true of it here, and why."""

from typing import NamedTuple

from worker.bitrix24.calls import Answer, Outcome

YES = "yes"
NO = "no"
UNKNOWN = "unknown"
"""There was nothing to look at, or the portal did not answer: what relies on it takes the safe way."""


class Finding(NamedTuple):
    """One line of what is stored.

    Args:
        name: Of the capability, such as `tasks.order`.
        value: YES, NO, UNKNOWN or a short word of its own.
        evidence: What was seen, a sentence without anything personal: IDs, counts, offsets, codes.
    """

    name: str
    value: str
    evidence: str


def yes_or_no(holds: bool) -> str:
    return YES if holds else NO


def trouble(outcome: Outcome) -> str:
    """Why an outcome shows nothing; never the portal's own text."""
    if isinstance(outcome, Answer):
        return "the answer cannot be read"
    return f"the portal answered {outcome.code or type(outcome).__name__}"
