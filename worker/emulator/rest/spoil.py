"""Faults inside a good answer: what pages do when rows move under the reader, and rubbish in single fields."""

import copy
from typing import Any

from worker.emulator.faults import Fault
from worker.emulator.rest.php import Json


def spoil(result: Json, fault: Fault, spoiled: list[str]) -> Json:
    """A copy of an answer with the fault in it; `spoiled` gets the ids of records with rubbish in them."""
    result = copy.deepcopy(result)
    rows = result.get("tasks") if isinstance(result, dict) and "tasks" in result else result
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return result
    at = int(fault.options.get("at", len(rows) // 2))
    key = "id" if "id" in rows[0] else "ID"
    if fault.kind == "page_repeat" and len(rows) > 1:
        at = max(1, at)
        rows[at] = copy.deepcopy(rows[at - 1])
    elif fault.kind == "page_fall":
        rows.reverse()
    elif fault.kind == "lost_rows":
        del rows[at]
    elif fault.kind == "lost_instances":
        _lose_instances(rows, key, fault)
    elif fault.kind == "doubled_rows":
        rows.insert(at, copy.deepcopy(rows[at]))
    elif fault.kind == "surrogate":
        name = str(fault.options.get("field", "title" if key == "id" else "NAME"))
        rows[at][name] = f"{rows[at].get(name) or ''}\ud800"
    elif fault.kind == "junk_field":
        name = str(fault.options.get("field", "changedDate" if key == "id" else key))
        rows[at][name] = fault.options.get("value", "not-a-date" if key == "id" else "abc")
        spoiled.append(str(rows[at].get(key)))
    return result


def _lose_instances(rows: list[Any], key: str, fault: Fault) -> None:
    """Of a series (the option `event_id`, or the first that comes more than once) only some instances are left."""
    ids = [str(row.get(key)) for row in rows]
    lost = str(fault.options.get("event_id", next((each for each in ids if ids.count(each) > 1), "")))
    leave = int(fault.options.get("leave", 1))
    places = [place for place, each in enumerate(ids) if each == lost]
    for place in reversed(places[leave:]):
        del rows[place]
