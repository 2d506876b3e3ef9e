"""Which error code means what: one table for portals, batches and token servers. Pure.

Sources: vendor's _includes/system-errors.md, settings/oauth/error-codes.md and api-reference/rest-v3.md;
the vendor's PHP modules for codes that no page lists. Case differs between codes, so it is ignored.
"""

from datetime import timedelta
from typing import Final

from worker.bitrix24.calls import Time
from worker.errors import (
    AccessDenied,
    CallRefused,
    MethodClosed,
    MethodNotFound,
    MissingScope,
    NeedsReauth,
    PortalClosed,
    PortalError,
    RateLimited,
    TokenRejected,
    TransientError,
    Unreachable,
)

_V3 = "bitrix_rest_v3_exception_"

MEANING: Final[dict[str, type[PortalError]]] = {
    # Refresh once. Any other 401 must not burn a refresh token.
    "expired_token": TokenRejected,
    "invalid_token": TokenRejected,
    # A person must authorize again.
    "authorization_error": NeedsReauth,
    "application_not_found": NeedsReauth,
    "error_oauth": NeedsReauth,  # "Application not installed", say the vendor's SDKs
    "not_installed": NeedsReauth,
    "invalid_credentials": NeedsReauth,
    "invalid_grant": NeedsReauth,
    # The whole portal is closed to us.
    "overload_limit": PortalClosed,
    "portal_deleted": PortalClosed,
    "payment_required": PortalClosed,
    # Later.
    "query_limit_exceeded": RateLimited,
    "operation_time_limit": MethodClosed,
    "connection_error": Unreachable,
    "error_core": TransientError,
    "internal_server_error": TransientError,
    "error_unexpected_answer": TransientError,
    _V3 + "internalexception": TransientError,
    # Never, as it is.
    "insufficient_scope": MissingScope,
    "invalid_scope": MissingScope,
    _V3 + "insufficientscopeexception": MissingScope,
    "access_denied": AccessDenied,
    "user_access_error": AccessDenied,
    "allowed_only_intranet_user": AccessDenied,
    "method_confirm_denied": AccessDenied,
    "method_confirm_waiting": AccessDenied,
    "wrong_auth_type": AccessDenied,
    "wrong_license": AccessDenied,
    _V3 + "accessdeniedexception": AccessDenied,
    "error_method_not_found": MethodNotFound,
    _V3 + "methodnotfoundexception": MethodNotFound,
    "no_auth_found": CallRefused,
    "invalid_client": CallRefused,
    "wrong_client": CallRefused,
    "invalid_request": CallRefused,
    "error_argument": CallRefused,
}

SENTENCE: Final[dict[str, str]] = {
    "authorization_error": "the user of this authorization was dismissed or blocked: authorize with another user",
    "application_not_found": "the application was removed from the portal: install it and authorize again",
    "not_installed": "the application is not installed on the portal: install it and authorize again",
    "invalid_credentials": "the webhook or authorization is not accepted any more: make a new one, connect again",
    "invalid_grant": "the refresh token is unknown, used or expired: authorize again",
    "invalid_client": "the token server does not accept the application's keys: "
    "check B24SYNC_CLIENT_ID and B24SYNC_CLIENT_SECRET, and that the application is installed on this portal",
    "overload_limit": "the vendor has blocked this portal's REST API by hand: write to their support",
    "portal_deleted": "the portal was deleted or is closed by its administrator",
    "payment_required": "the licence or trial of the application or the portal is over",
    "operation_time_limit": "the operating time of this method is used up for now",
    "query_limit_exceeded": "too many requests from this address",
}
SENTENCE["wrong_client"] = SENTENCE["invalid_client"]

_NO_COMMERCIAL_PLAN = "commercial plan"  # ACCESS_DENIED of the whole REST API, not of one method


def refusal(
    code: str,
    text: str,
    *,
    status: int | None,
    portal: str = "",
    method: str = "",
    retry_after: float | None = None,
    time: Time | None = None,
) -> PortalError:
    """The error behind a code. An unknown one is a refusal, or Unreachable under a 5xx."""
    known = code.strip().lower()
    meaning = MEANING.get(known)
    if meaning is AccessDenied and _NO_COMMERCIAL_PLAN in text.lower():
        meaning = PortalClosed
    if meaning is None:
        meaning = Unreachable if status is not None and status >= 500 else CallRefused  # noqa: PLR2004
        if status == 429:  # noqa: PLR2004
            meaning = RateLimited
    message = SENTENCE.get(known) or text or "the portal refused the call without giving a reason"
    error = meaning(message, portal=portal, method=method, code=code, status=status)
    if isinstance(error, TransientError):
        error.retry_after = retry_after
    if isinstance(error, MethodClosed):
        _date(error, time or Time())
    return error


def _date(error: MethodClosed, time: Time) -> None:
    """When the method opens again. Both clocks are the portal's, so their difference holds on ours too."""
    error.reset_at = time.operating_reset_at
    if error.retry_after is None and time.operating_reset_at and time.portal_now:
        error.retry_after = max(0.0, (time.operating_reset_at - time.portal_now) / timedelta(seconds=1))
