"""Parameters as PHP reads them: the text after the `?` of a command inside `batch`. Pure.

A command is split like a URL and its query decoded once (vendor's PHP; the pages show trivial strings only:
settings/how-to-call-rest-api/batch.md). So names are encoded as well as values: in `filter[>=CHANGED_DATE]=...` PHP
would cut at the `=` inside the brackets, the condition would vanish without a word and every row be returned.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from worker.bitrix24.calls import Ref

_MARKS = ("$result[", "$next[", "$total[")
_DEEPEST = 20
_PART = re.compile(r"[A-Za-z0-9_-]+")


def encode_query(params: Mapping[str, Any]) -> str:
    """`params` as one query. Raises ValueError for what would not arrive as meant."""
    return "&".join(part for name, value in params.items() if (part := _part(name, value)))


def _part(name: object, value: object) -> str:
    """One parameter. A list of texts is written once and remembered: fifty pages of a batch select the same fields."""
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return _texts(name, tuple(value))
    return _joined(name, value)


@lru_cache(maxsize=256)
def _texts(name: object, value: tuple[str, ...]) -> str:
    return _joined(name, value)


def _joined(name: object, value: object) -> str:
    return "&".join(f"{name}={value}" for name, value in _pairs(_name("", name), value, 1))


def _pairs(prefix: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        raise ValueError("parameters nested too deeply")
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        yield prefix, _scalar(value)
        return
    if not items and depth > 1:
        # `filter: {"ID": []}` would be dropped by PHP, and a dropped condition selects everything.
        raise ValueError("an empty list or map inside a parameter cannot be sent")
    for key, item in items:
        yield from _pairs(_name(prefix, key), item, depth + 1)


def _name(prefix: str, key: object) -> str:
    text = str(key)
    if not isinstance(key, str | int) or isinstance(key, bool) or not text:
        raise ValueError("a parameter's name is a string or a number")
    if "[" in text or "]" in text or "\0" in text:
        raise ValueError("PHP would take the brackets in a parameter's name for nesting")
    if not prefix and (" " in text or "." in text):
        raise ValueError("PHP would rename a parameter with a space or a dot in its name")
    return f"{prefix}[{quote(text, safe='')}]" if prefix else quote(text, safe="")


def _scalar(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case float():
            if not math.isfinite(value):
                raise ValueError("a number that is none")
            return repr(value)
        case str():
            if any(mark in value for mark in _MARKS):
                raise ValueError("a text that the portal would take for a reference to another call")
            return quote(value, safe="")
        case Ref():
            parts = [str(part) for part in (value.key, *value.path)]
            if not all(_PART.fullmatch(part) for part in parts):
                raise ValueError("a reference is made of names and numbers")
            return "$result" + "".join(f"[{part}]" for part in parts)
        case _:
            raise ValueError(f"a parameter of type {type(value).__name__} cannot be sent")
