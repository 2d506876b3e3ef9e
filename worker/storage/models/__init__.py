"""The tables. `access`: who is connected; `entities`, `agenda`: the mirror; `bookkeeping`: how the mirror is kept."""

from worker.storage.models.access import Account, OAuthToken, PendingLogin, Portal
from worker.storage.models.agenda import CalendarEvent, CalendarOccurrence, CalendarSection, EventAttendee
from worker.storage.models.base import Base
from worker.storage.models.bookkeeping import (
    ClosedMethod,
    PortalCapability,
    RaisedAlert,
    RejectedRecord,
    RememberedAnswer,
    RequestBudget,
    RunTotal,
    SchemaDrift,
    SyncCursor,
    SyncRun,
)
from worker.storage.models.entities import PlannerTask, Task, User

__all__ = [
    "Account",
    "Base",
    "CalendarEvent",
    "CalendarOccurrence",
    "CalendarSection",
    "ClosedMethod",
    "EventAttendee",
    "OAuthToken",
    "PendingLogin",
    "PlannerTask",
    "Portal",
    "PortalCapability",
    "RaisedAlert",
    "RejectedRecord",
    "RememberedAnswer",
    "RequestBudget",
    "RunTotal",
    "SchemaDrift",
    "SyncCursor",
    "SyncRun",
    "Task",
    "User",
]
