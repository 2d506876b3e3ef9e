"""What a mirror is asked for, and how its columns hold values."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class View:
    """Who looks, at what, and what decides how the portal shows it."""

    viewer: int
    calendars: Sequence[str]
    window: tuple[datetime, datetime]
    now: datetime
    scopes: frozenset[str]
    language: str


def clean(value: str | None) -> str | None:
    """As SQL can keep it: no NUL, no half of a surrogate pair; an empty text is no text."""
    return kept(value) or None if value is not None else None


def kept(value: str) -> str:
    return "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in value)


def packed(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
