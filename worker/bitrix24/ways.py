"""How a list method is read: the quickest way that its portal keeps to. Pure values."""

from dataclasses import dataclass
from enum import StrEnum


class Paging(StrEnum):
    """The ways from page to page, the quickest first."""

    CHAINED = "chained"
    """Up to 50 pages in one request, each from where the one before it ends."""
    PAGES = "pages"
    """One page in a request, from the last ID on: where references in a batch mean something else, or may do so."""
    COUNTED = "counted"
    """Pages by their number: where `>ID` or the order is not to be had."""


@dataclass(frozen=True, slots=True)
class ListWay:
    """How one list is read.

    Args:
        paging: From page to page.
        uncounted: Whether `start=-1` may be asked for (vendor: settings/performance/huge-data.md).
    """

    paging: Paging = Paging.PAGES
    uncounted: bool = False
