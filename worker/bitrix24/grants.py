"""What a token server (or an install event, or a file) says about a grant, read tolerantly. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.bitrix24.protocol import as_int
from worker.errors import BadAnswer
from worker.tokens import Grant

_HOUR = 3600  # the life of an access token (vendor: settings/oauth/auto-renewal.md)
_LONGEST = 366 * 24 * _HOUR


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A grant and what came with it.

    Args:
        grant: The tokens.
        member_id: The portal's identity, which outlives its name.
        client_endpoint: The portal's REST address, "https://portal/rest/".
        server_endpoint: The token server's REST address.
        scope: What was granted, "task,calendar"; "" where the answer does not tell.
        user_id: Whose tokens these are.
        domain: As sent: the token server's host in a token answer, the portal's in an install event.
    """

    grant: Grant = field(repr=False)
    member_id: str | None
    client_endpoint: str | None
    server_endpoint: str | None
    scope: str
    user_id: int | None
    domain: str | None


def read_token_answer(values: Mapping[str, Any], received_at: datetime, *, portal: str = "") -> TokenAnswer:
    """Read an answer whose numbers may be strings and whose optional parts may be missing.

    Raises BadAnswer where there is no access token.
    """
    access = _text(values.get("access_token"))
    if access is None:
        raise BadAnswer("the answer holds no access token", portal=portal)
    return TokenAnswer(
        grant=Grant(
            access_token=access,
            refresh_token=_text(values.get("refresh_token")),
            expires_in=_life(values, received_at),
            received_at=received_at,
        ),
        member_id=_text(values.get("member_id")),
        client_endpoint=_text(values.get("client_endpoint")),
        server_endpoint=_text(values.get("server_endpoint")),
        scope=_scope(values.get("scope")),
        user_id=as_int(values.get("user_id")),
        domain=_text(values.get("domain")),
    )


def _life(values: Mapping[str, Any], received_at: datetime) -> int:
    """Seconds; from `expires`, which is by another clock than ours, only where `expires_in` is missing."""
    seconds = as_int(values.get("expires_in"))
    if seconds is None:
        moment = as_int(values.get("expires"))
        seconds = _HOUR if moment is None else moment - int(received_at.timestamp())
    return min(max(seconds, 0), _LONGEST)


def _scope(value: object) -> str:
    parts = value if isinstance(value, list) else str(value or "").replace(" ", ",").split(",")
    return ",".join(str(part) for part in parts if part)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
