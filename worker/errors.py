"""What can go wrong, told by what the caller does about it.

::

    B24SyncError
    ├── UsageError                a person mended nothing yet: wrong arguments or settings (exit 2)
    │   ├── SettingsError         all problems of the settings at once
    │   └── SchemaError           the database is behind (or ahead of) this program
    ├── PortalError               a portal or a token server answered, or did not
    │   ├── TransientError        the same call may succeed later (`retry_after` seconds, if known)
    │   │   ├── Unreachable       no connection, no answer in time, a gateway's error page
    │   │   │   └── TokenServerAway   nobody asked: the token server gave no answer lately
    │   │   ├── BadAnswer         an answer that cannot be read: HTML, cut off, empty, of a wrong shape
    │   │   ├── RateLimited       QUERY_LIMIT_EXCEEDED, or our own budget is spent for a while
    │   │   └── MethodClosed      OPERATION_TIME_LIMIT: this method is closed until `reset_at`
    │   ├── TokenRejected         refresh once, then repeat the call
    │   ├── NeedsReauth           a person must authorize this account again (exit 3)
    │   ├── PortalClosed          stop asking this portal until a person acts (deleted, blocked, unpaid)
    │   ├── PortalMoved           the portal answers elsewhere now (`location`)
    │   └── CallRefused           this call will never succeed as it is
    │       ├── MissingScope      the application or the webhook lacks a scope
    │       ├── AccessDenied      the account's user may not do this
    │       └── MethodNotFound    the portal does not know the method
    ├── IncompleteRun             a run that is not whole: nothing deleted, no cursor moved (exit 4)
    │   ├── Interrupted           it was stopped, or its time is over; the next run goes on from there, at once
    │   └── GuardTripped          too much would be deleted; an operator decides (exit 4)
    ├── LeaseLost                 another process took over: commit nothing more
    └── Rejected                  one record cannot become a row; the run goes on

Errors carry data; the wording for people that depends on more than the error itself lives in `worker.cli`.
No error's text holds a secret: the transport never puts a URL with a secret, or a token, into one.
"""

from collections.abc import Sequence
from datetime import datetime


class B24SyncError(Exception):
    """The root: everything this program raises on purpose."""


class UsageError(B24SyncError):
    """A person must mend the arguments or the settings first."""


class SettingsError(UsageError):
    """All problems of the settings at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class SchemaError(UsageError):
    """The database's schema is not the one this program needs."""


class PortalError(B24SyncError):
    """A portal (or its token server) refused, failed or did not answer.

    Args:
        message: One sentence for a person, without secrets.
        portal: The portal's domain, where known.
        method: The REST method, where there was one.
        code: The `error` key of the answer as sent (any case), "" where there was none.
        status: The HTTP status, where there was an answer.
    """

    def __init__(
        self,
        message: str = "",
        *,
        portal: str = "",
        method: str = "",
        code: str = "",
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.portal = portal
        self.method = method
        self.code = code
        self.status = status

    @property
    def reason(self) -> str:
        """What is the matter, without saying where."""
        parts = [self.message or self.code or type(self).__name__]
        if self.code and self.code not in parts[0]:
            parts.append(f"({self.code})")
        return " ".join(parts)

    def __str__(self) -> str:
        where = " ".join(part for part in (self.portal, self.method) if part)
        return f"{where}: {self.reason}" if where else self.reason


class TransientError(PortalError):
    """The same call may succeed later."""

    retry_after: float | None = None  # seconds the other side asked for
    token_server: bool = False  # met on the way to a token: it says nothing of the portal


class Unreachable(TransientError):
    """No connection, no answer in time, or a gateway's error page."""

    never_sent: bool = False  # it is known that the other side saw nothing of the request


class TokenServerAway(Unreachable):
    """The token server gave no answer lately; nobody was asked."""


class BadAnswer(TransientError):
    """An answer that cannot be read."""


class RateLimited(TransientError):
    """The portal's request budget is spent."""


class MethodClosed(TransientError):
    """The operating time of one method is used up."""

    reset_at: datetime | None = None  # when the portal opens it again, by the portal's clock


class TokenRejected(PortalError):
    """The access token is not taken any more: refresh once, repeat once."""


class NeedsReauth(PortalError):
    """A person must authorize this account again."""


class PortalClosed(PortalError):
    """The portal will not serve us until a person acts."""


class PortalMoved(PortalError):
    """The portal answers at another address now.

    Args:
        location: The absolute URL the portal named.
    """

    def __init__(self, message: str = "", *, location: str, portal: str = "", method: str = "") -> None:
        super().__init__(message, portal=portal, method=method)
        self.location = location


class CallRefused(PortalError):
    """This call will never succeed as it is."""


class MissingScope(CallRefused):
    """The application or the webhook was not given the scope."""


class AccessDenied(CallRefused):
    """The account's user has no right to this."""


class MethodNotFound(CallRefused):
    """The portal does not know the method."""


class IncompleteRun(B24SyncError):
    """Not everything was read: nothing may be deleted and no cursor may move."""


class Interrupted(IncompleteRun):
    """The run was stopped or its time is over: the next one goes on from its bookmark, at once."""


class GuardTripped(IncompleteRun):
    """More would be deleted than is believable; an operator decides."""


class LeaseLost(B24SyncError):
    """Another process holds the lease now: commit nothing more."""


class Rejected(B24SyncError):
    """One record cannot become a row; says why."""
