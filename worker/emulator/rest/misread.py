"""A portal that understands less of a list's parameters than its pages say: as told by its spec, and silently."""

import re

from worker.emulator.rest import php
from worker.emulator.rest.php import Json, Map
from worker.emulator.spec import PortalSpec

_ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT.*")


def misread(params: Map, spec: PortalSpec) -> Map:
    """The parameters as this portal takes them; an honest one takes them as they are."""
    if spec.after_id and spec.ordered and spec.uncounted and spec.filter_dates == "any":
        return params
    taken: Map = {}
    for name, value in params.items():
        if name.lower() == "filter":
            taken[name] = _filter(php.as_map(value), spec)
        elif name.lower() == "start" and not spec.uncounted:
            taken[name] = max(0, php.to_int(value))
        elif spec.ordered or name.lower() not in {"order", "sort"}:
            taken[name] = value
    return taken


def _filter(conditions: Map, spec: PortalSpec) -> Map:
    return {
        name: _date(value, spec)
        for name, value in conditions.items()
        if spec.after_id or name.upper() not in {">ID", ">=ID"}
    }


def _date(value: Json, spec: PortalSpec) -> Json:
    if not isinstance(value, str):
        return value
    if spec.filter_dates == "local_z" and _ZULU.fullmatch(value):
        return value[:-1]
    none = spec.filter_dates == "none" and _DATE.fullmatch(value)
    return "no date" if none or (spec.filter_dates == "no_z" and _ZULU.fullmatch(value)) else value
