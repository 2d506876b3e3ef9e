"""Users (vendor: user/user-get.md, user/user-fields.md, user/index.md)."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct

from worker.bitrix24.calls import Answer, Call, Outcome
from worker.bitrix24.rows import ListMethod
from worker.resources.fields import json_list, text_or_none, title_or_none, to_bool
from worker.resources.hashing import canonical_fields, content_hash
from worker.resources.records import Flag, Key, Numbers, Reader, Text, payload_text, rows_of
from worker.resources.viewer import Viewer

METHOD = "user.get"


class User(Struct, rename="upper"):
    """The fields of a user that have a column. Which of them come depends on the scope that was granted."""

    id: Key
    name: Text = None
    last_name: Text = None
    second_name: Text = None
    email: Text = None
    active: Flag = None
    work_position: Text = None
    uf_department: Numbers = None
    user_type: Text = None
    time_zone: Text = None


_reader = Reader(User, typed_custom=("UF_DEPARTMENT",))


def to_row(raw: Raw | bytes, viewer: Viewer) -> dict[str, Any]:
    """The row of a user. Raises Rejected.

    The last visit, being online, TIMESTAMP_X (which a visit moves) and the offset of today are no content.
    """
    raw = raw if isinstance(raw, Raw) else Raw(raw)
    user = _reader.read(raw)
    row: dict[str, Any] = {
        "user_id": user.id,
        "name": title_or_none(user.name),
        "last_name": text_or_none(user.last_name),
        "second_name": text_or_none(user.second_name),
        "email": text_or_none(user.email),
        "active": to_bool(user.active, "ACTIVE"),
        "work_position": text_or_none(user.work_position),
        "departments": json_list(sorted(user.uf_department or ())),
        "user_type": text_or_none(user.user_type),
        "time_zone": text_or_none(user.time_zone),
    }
    custom = _reader.custom(raw)
    row["content_hash"] = content_hash(row.values(), canonical_fields(custom, viewer.tasks_clock) if custom else None)
    row["raw"] = payload_text(raw)
    return row


def changed_filter(since: str) -> Mapping[str, Any]:
    """What changed at or after `since`, a date as user-get.md spells them; an unreadable one matches nothing there."""
    return {">=TIMESTAMP_X": since}


def get_call(key: str, user_id: int) -> Call:
    """Asks for one user."""
    return Call(key, METHOD, {"FILTER": {"ID": user_id}})


def found(outcome: Outcome) -> Raw | None:
    """The user in an answer to `get_call`, None where the list is empty. A refusal is raised: user.get has none."""
    if not isinstance(outcome, Answer):
        raise outcome
    users = rows_of(outcome.result, METHOD)
    return users[0] if users else None


# Without `select`: it came late to this method, and the scope already limits what is shown.
LISTING = ListMethod(method=METHOD, id_field="ID", order_style="pair", filter_param="FILTER")
