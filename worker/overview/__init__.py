"""The state of the mirror at one moment, as the status page and `b24sync status` show it. Holds no secret."""

from worker.overview.look import REFRESH_LIFE, count_all_rows, count_rows, count_rows_in_all, look, look_at
from worker.overview.states import (
    AccountState,
    BreakerView,
    DriftView,
    Overview,
    PortalState,
    ResourceState,
)

__all__ = [
    "REFRESH_LIFE",
    "AccountState",
    "BreakerView",
    "DriftView",
    "Overview",
    "PortalState",
    "ResourceState",
    "count_all_rows",
    "count_rows",
    "count_rows_in_all",
    "look",
    "look_at",
]
