"""One value of a record at a time: what a portal may send in its place, and what it means.

The portal writes the same thing in many ways: a number as `12`, `"12"` or `12.0`, nothing as `null`, `""`, `false`,
`[]` or `{}`, a flag as `"Y"`, `true` or `"1"`, a list as a list or as a map. All of them are read. A value that is
there but cannot be read is never turned into NULL, because that would be a fact nobody stated: the record is Rejected
and its row stays as it was.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import msgspec

from worker.errors import Rejected

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
REPLACEMENT = "\ufffd"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.0{0,40})?")
_SHOWN = 40
_YES = frozenset({"Y", "YES", "TRUE", "1"})
_NO = frozenset({"N", "NO", "FALSE", "0"})
_ENCODE = msgspec.json.Encoder().encode
_EMPTIABLE = (str, list, dict)


def is_nothing(value: object) -> bool:
    """Whether PHP's sender meant "no value": null, false, an empty text, list or map (but not the number 0)."""
    return value is None or value is False or (isinstance(value, _EMPTIABLE) and not value)


def shown(value: object) -> str:
    """A short printable form of a bad value, for the reason of a rejection."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def clean(text: str) -> str:
    """The text without what SQL cannot store: NUL (PostgreSQL) and lone surrogates (no UTF-8) become U+FFFD."""
    return _UNSTORABLE.sub(REPLACEMENT, text)


def cleaned(value: object) -> object:
    """The decoded JSON value with every text in it cleaned, keys as well."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): cleaned(item) for key, item in value.items()}
    return value


def to_int(value: object, name: str) -> int | None:
    """A number, or None where there is none. Raises Rejected for anything else and for more than 64 bits."""
    if is_nothing(value) or (isinstance(value, str) and not value.strip()):
        return None
    number = _whole(value)
    if number is None:
        raise Rejected(f"{name}: {shown(value)} is no whole number")
    if not INT64_MIN <= number <= INT64_MAX:
        raise Rejected(f"{name}: {shown(value)} is too large a number")
    return number


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return int(value.strip().split(".")[0])
    return None


def to_key(value: object, name: str) -> int:
    """The ID of a record. Raises Rejected when there is none: without it nothing can be stored."""
    number = to_int(value, name)
    if number is None or number < 1:
        raise Rejected(f"{name}: {shown(value)} is no ID")
    return number


def to_bool(value: object, name: str) -> bool | None:
    """A flag, or None where there is none."""
    if value is None or isinstance(value, bool):
        return value
    word = value.strip().upper() if isinstance(value, str) else str(value)
    if word in _YES:
        return True
    if word in _NO:
        return False
    if is_nothing(value):
        return None
    raise Rejected(f"{name}: {shown(value)} is no flag")


def to_text(value: object, name: str) -> str | None:
    """A text, cleaned; "" stays "". Numbers are written out."""
    if isinstance(value, str):
        return clean(value)
    if is_nothing(value):
        return None
    if isinstance(value, bool):
        return "1"  # as PHP writes true
    if isinstance(value, int | float):
        return str(value)
    raise Rejected(f"{name}: {shown(value)} is no text")


def text_or_none(text: str | None) -> str | None:
    """A text that the typed decoder read: "" means none; it can still hold NUL, but no lone surrogate."""
    if not text:
        return None
    return clean(text) if "\x00" in text else text


def title_or_none(text: str | None) -> str | None:
    """As text_or_none, for names and titles: there "" stays ""."""
    return clean(text) if text and "\x00" in text else text


def items(value: object, name: str) -> list[Any]:
    """The elements of a list, or of what PHP sends instead of one: a map, one bare value, false."""
    if is_nothing(value):
        return []
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, str | int) and not isinstance(value, bool):
        return [value]
    raise Rejected(f"{name}: {shown(value)} is no list")


def to_ints(value: object, name: str) -> list[int]:
    """A list of numbers, as sent."""
    numbers = (to_int(item, name) for item in items(value, name))
    return [number for number in numbers if number is not None]


def to_texts(value: object, name: str) -> list[str]:
    """A list of texts, as sent, without empty ones."""
    texts = (to_text(item, name) for item in items(value, name))
    return [text for text in texts if text]


def json_list(values: Iterable[int | str]) -> str:
    """The compact JSON text of a list column."""
    listed = list(values)
    return _ENCODE(listed).decode() if listed else "[]"


def json_dates(days: Iterable[date | datetime]) -> str:
    """The compact JSON text of a list of dates, ascending."""
    return json_list(sorted(day.isoformat() for day in days))
