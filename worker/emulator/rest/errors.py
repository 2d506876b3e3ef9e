"""How the portal says no."""

from typing import Any

_STATUSES = {
    # code: (documented in _includes/system-errors.md, seen in the portal's own code)
    "expired_token": (401, 401),
    "invalid_token": (401, 401),
    "NO_AUTH_FOUND": (401, 401),
    "authorization_error": (401, 401),
    "APPLICATION_NOT_FOUND": (401, 401),
    "CONNECTION_ERROR": (401, 401),
    "INVALID_CREDENTIALS": (403, 401),
    "insufficient_scope": (403, 401),
    "user_access_error": (403, 401),
    "ACCESS_DENIED": (403, 403),
    "WRONG_AUTH_TYPE": (403, 403),
    "WRONG_LICENSE": (403, 403),
    "ERROR_METHOD_NOT_FOUND": (404, 404),
    "ERROR_BATCH_METHOD_NOT_ALLOWED": (405, 400),
    "ERROR_BATCH_LENGTH_EXCEEDED": (400, 400),
    "OPERATION_TIME_LIMIT": (429, 429),
    "QUERY_LIMIT_EXCEEDED": (503, 503),
    "OVERLOAD_LIMIT": (503, 401),
    "PORTAL_DELETED": (500, 403),
    "INTERNAL_SERVER_ERROR": (500, 500),
    "ERROR_UNEXPECTED_ANSWER": (500, 500),
    "ERROR_CORE": (500, 400),
}


class RestError(Exception):
    """An error answer: its code (may be empty or "0"), its text, and keys beside them."""

    def __init__(self, code: str, description: str, *, status: int | None = None, **extra: Any) -> None:  # noqa: ANN401  keys of the answer
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.status = status
        self.extra = extra

    def http_status(self, table: str) -> int:
        if self.status is not None:
            return self.status
        documented, seen = _STATUSES.get(self.code, (400, 400))
        return documented if table == "docs" else seen

    def body(self) -> dict[str, Any]:
        return {"error": self.code, "error_description": self.description, **self.extra}


def argument(name: str) -> RestError:
    return RestError("ERROR_ARGUMENT", f"Argument '{name}' is null or empty", argument=name)
