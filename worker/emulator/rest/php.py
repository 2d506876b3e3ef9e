"""How the portal's language reads what a client sends: brackets, numbers, truth, and references in a batch."""

import json
import re
from collections.abc import Iterable
from typing import Any, TypeAlias
from urllib.parse import unquote_plus

Json: TypeAlias = Any
Map: TypeAlias = dict[str, Any]
"""An array of the portal's language: ordered, its keys are text here ("0", "1" for lists)."""

_REFERENCE = re.compile(r"\$(result|next|total)((?:\[[^\[\]]*\])+)")
_KEY = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(r"\s*([+-]?\d+)")


def parse_str(query: str) -> Map:
    """Decode a query or a form; a pair is cut at its first raw `=`, before any name is decoded."""
    out: Map = {}
    for pair in query.split("&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition("=")
        name = unquote_plus(raw_name).lstrip(" ")
        if name and not name.startswith("["):
            _put(out, _path(name), unquote_plus(raw_value))
    return out


def _path(name: str) -> list[str]:
    """`a[b][]` is ["a", "b", ""]; a bracket that never closes becomes part of the name, as the language does it."""
    head, bracket, rest = name.partition("[")
    if not bracket or "]" not in rest:
        return [re.sub(r"[ .\[]", "_", name)]
    path = [re.sub(r"[ .]", "_", head)]
    rest = "[" + rest
    while rest.startswith("[") and "]" in rest:
        key, _, rest = rest[1:].partition("]")
        path.append(key)
    return path


def _put(out: Map, path: list[str], value: str) -> None:
    here = out
    for key in path[:-1]:
        key_here = key if key or here is out else next_index(here)
        child = here.get(key_here)
        if not isinstance(child, dict):
            child = here[key_here] = {}
        here = child
    here[path[-1] if path[-1] or here is out else next_index(here)] = value


def next_index(items: Map) -> str:
    numbers = [int(key) for key in items if key.isdecimal()]
    return str(max(numbers) + 1) if numbers else "0"


def from_json(value: Json) -> Json:
    """A decoded JSON value with its lists turned into maps, as arrays are one thing on the other side."""
    if isinstance(value, dict):
        return {key: from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return {str(index): from_json(item) for index, item in enumerate(value)}
    return value


def read_json(body: bytes) -> Map:
    """The parameters of a JSON body; one that does not parse is empty, without any error."""
    try:
        value = from_json(json.loads(body))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def split_command(command: str) -> tuple[str, Map]:
    """A command of a batch is read as an address is: path, query, and a raw `#` ends it."""
    path, _, query = command.partition("#")[0].partition("?")
    return path, parse_str(query)


def truthy(value: Json) -> bool:
    return value not in ("", "0", 0, False, None) and value not in ({}, [])


def to_int(value: Json) -> int:
    """Cast as the language does: an array counts 1, or 0 when empty; digits at the start of a text count."""
    if isinstance(value, dict | list):
        return 1 if value else 0
    if isinstance(value, bool | int | float):
        return int(value)
    found = _NUMBER.match(value) if isinstance(value, str) else None
    return int(found[1]) if found else 0


def to_text(value: Json) -> str:
    if isinstance(value, dict | list):
        return "Array"
    if value is None or value is False:
        return ""
    return "1" if value is True else str(value)


def as_items(value: Json) -> list[Json]:
    """A parameter that may be one value or many."""
    if isinstance(value, dict):
        return list(value.values())
    return [] if value is None or value == "" else [value]


def as_map(value: Json) -> Map:
    return value if isinstance(value, dict) else {}


def array(pairs: Map) -> Json:
    """A map as it leaves the portal: keys 0, 1, 2 make it a list, and an empty one is a list too (batch.md)."""
    if all(key == str(index) for index, key in enumerate(pairs)):
        return list(pairs.values())
    return pairs


def resolve(value: Json, scopes: Map, *, strict: bool = False) -> Json:
    """Put results of earlier commands into a parameter; names of parameters are left alone.

    A strict portal raises KeyError where something is missing; no page says that there is one.
    """
    if isinstance(value, dict):
        return {key: resolve(item, scopes, strict=strict) for key, item in value.items()}
    if not isinstance(value, str) or "$" not in value:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return from_json(_walk(scopes[whole[1]], _KEY.findall(whole[2]), strict=strict))
    return _REFERENCE.sub(lambda found: to_text(_walk(scopes[found[1]], _KEY.findall(found[2]), strict=strict)), value)


def _walk(value: Json, path: Iterable[str], *, strict: bool) -> Json:
    """Follow a path; at the first missing key stop and use what was reached: this is why a short page restarts."""
    for key in path:
        if isinstance(value, dict):
            step = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            step = value[int(key)]
        else:
            step = None
        if step is None:  # a null counts as missing
            if strict:
                raise KeyError(key)
            return value
        value = step
    return value
