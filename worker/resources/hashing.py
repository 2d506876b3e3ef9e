"""The content hash: equal for equal content, whatever the portal's spelling of it was that day.

It covers the typed row and the UF_ fields (the portal's own custom fields), never the raw text: the suffixes of the
dates in it move twice a year, and some of its fields change with the viewer or with the clock alone.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from worker.errors import Rejected
from worker.resources.fields import is_nothing
from worker.resources.times import TaskClock

_ENCODE = msgspec.json.Encoder(order="deterministic").encode
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:?\d{2})")


def content_hash(row_values: Iterable[object], custom: Mapping[str, object] | None = None) -> str:
    """32 hex digits over the values in their order and over the custom fields (canonical form, any order)."""
    listed = [*row_values, custom or None]
    try:
        text = _ENCODE(listed)
    except (msgspec.MsgspecError, OverflowError, ValueError):  # a number or a text no encoder takes as it is
        text = json.dumps(listed, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def canonical_fields(custom: Mapping[str, Any], clock: TaskClock) -> dict[str, object]:
    """The UF_ fields that hold something: names and values in one form (`UF_AUTO_1` and `ufAuto1` are one field)."""
    try:
        plain = {_plain(name): canonical(value, clock) for name, value in custom.items()}
    except RecursionError as error:
        raise Rejected("a custom field is nested too deeply") from error
    return {name: value for name, value in plain.items() if value is not None}


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def canonical(value: object, clock: TaskClock) -> object:
    """One form for what the portal spells differently from day to day: numbers and texts, lists and maps, nothing."""
    if is_nothing(value):
        return None
    if isinstance(value, dict):
        return _canonical_map(value, clock)
    if isinstance(value, list):
        return [canonical(item, clock) for item in value]
    return _canonical_scalar(value, clock)


def _canonical_scalar(value: object, clock: TaskClock) -> str:
    if isinstance(value, bool):
        return "1"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return _canonical_date(value, clock)  # its suffix moves with the season
    return str(value)


def _canonical_map(value: dict[str, Any], clock: TaskClock) -> object:
    if all(key.isdecimal() for key in value):
        return [canonical(value[key], clock) for key in sorted(value, key=int)]
    return {key: canonical(item, clock) for key, item in value.items()}


def _canonical_date(text: str, clock: TaskClock) -> str:
    try:
        return str(clock.instant(text, ""))
    except Rejected:
        return text
