"""profile, user.current and user.get (api-reference/common/users/profile.md, api-reference/user/user-get.md)."""

import re

from worker.emulator.rest import php
from worker.emulator.rest.call import Call
from worker.emulator.rest.dates import iso, parse
from worker.emulator.rest.php import Json, Map
from worker.emulator.world.model import User

_PREFIX = re.compile(r"(!=%|!%=|!%|!@|!=|=%|%=|>=|<=|!|=|>|<|%|@)?(.*)", re.DOTALL)
_CONTACTS = {"EMAIL", "PERSONAL_MOBILE", "WORK_PHONE"}
_DATES = {"DATE_REGISTER", "LAST_LOGIN", "TIMESTAMP_X", "LAST_ACTIVITY_DATE"}


def profile(call: Call) -> Json:
    """Needs no scope; the zone is a text, empty when not set."""
    user = call.portal.world.users.get(call.user_id)
    if user is None or not user.active:
        return []
    return {
        "ID": str(user.user_id),
        "ADMIN": user.admin,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "PERSONAL_GENDER": user.gender,
        "TIME_ZONE": user.zone,
    }


def user_row(call: Call, user: User, *, current: bool = False) -> Map:
    """A user as shown: some empty fields are texts, others are missing, two dates may be an empty object."""
    zone_name = call.portal.spec.server_zone
    row: Map = {"ID": str(user.user_id), "ACTIVE": user.active, "NAME": user.name}
    for name, value in (
        ("LAST_NAME", user.last_name),
        ("SECOND_NAME", user.second_name),
        ("EMAIL", user.email),
    ):
        if value:
            row[name] = value
    row["LAST_LOGIN"] = iso(user.last_login, zone_name) if user.last_login else ""
    row["DATE_REGISTER"] = iso(user.registered, zone_name) if user.registered else ""
    if user.zone:
        row["TIME_ZONE"] = user.zone
    row["IS_ONLINE"] = "Y" if user.user_id == call.user_id else "N"
    if current:
        row["LAST_ACTIVITY_DATE"] = f"{call.now:%F %T}"
    else:
        row["TIMESTAMP_X"] = {}
        row["LAST_ACTIVITY_DATE"] = {}
    row["PERSONAL_GENDER"] = user.gender
    row["PERSONAL_BIRTHDAY"] = ""
    row["WORK_POSITION"] = user.work_position
    row["UF_EMPLOYMENT_DATE"] = ""
    row["UF_DEPARTMENT"] = user.departments
    row["USER_TYPE"] = user.user_type
    if not call.scopes & {"user", "user_basic"}:
        row = {name: value for name, value in row.items() if name not in _CONTACTS}
    return row


def user_current(call: Call) -> Json:
    user = call.portal.world.users[call.user_id]
    return user_row(call, user, current=True)


def user_get(call: Call) -> Json:
    """Names of filters in any case; `sort` and `order` are two texts; nobody promises an order without them."""
    params = {name.upper(): value for name, value in call.params.items()}
    wanted = params.get("FILTER")
    wanted = wanted if isinstance(wanted, dict) else params  # the old way: conditions beside the parameters
    users = [user for user in call.portal.world.users.values() if user.user_type not in {"bot", "email"}]
    values = {user.user_id: _values(user) for user in users}
    for key, value in wanted.items():
        found = _PREFIX.fullmatch(key.upper())
        prefix, name = (found[1] or "", found[2]) if found else ("", key)
        if name in _KNOWN:
            users = [user for user in users if _fits(prefix, name, values[user.user_id][name], value, call)]
    sort = php.to_text(params.get("SORT")).upper()
    users.sort(key=lambda user: (user.user_id * 2654435761 & 0xFFF, user.user_id))
    if sort in _KNOWN:
        backwards = php.to_text(params.get("ORDER")).upper() == "DESC"
        users.sort(key=lambda user: values[user.user_id][sort], reverse=backwards)
    start = php.to_int(params.get("START"))
    begin = max(0, start) // 50 * 50
    page = users[begin : begin + 50]
    if page:  # an empty answer has no count
        call.total = 0 if start < 0 else len(users)
    if start >= 0 and begin + 50 < len(users):
        call.next = begin + 50
    return [user_row(call, user) for user in page]


_KNOWN = {
    "ID", "ACTIVE", "NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "WORK_POSITION", "USER_TYPE", "UF_DEPARTMENT",
    "DATE_REGISTER", "LAST_LOGIN", "PERSONAL_GENDER", "TIMESTAMP_X",
}  # fmt: skip


def _values(user: User) -> Map:
    far = "" if user.last_login is None else user.last_login.isoformat()
    return {
        "ID": user.user_id,
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "SECOND_NAME": user.second_name,
        "EMAIL": user.email,
        "WORK_POSITION": user.work_position,
        "USER_TYPE": user.user_type,
        "UF_DEPARTMENT": user.departments,
        "DATE_REGISTER": "" if user.registered is None else user.registered.isoformat(),
        "LAST_LOGIN": far,
        "PERSONAL_GENDER": user.gender,
        "TIMESTAMP_X": "" if user.changed is None else user.changed.isoformat(),
    }


def _fits(prefix: str, name: str, actual: Json, value: Json, call: Call) -> bool:
    if name == "ACTIVE":
        wanted_active = value is True or php.to_text(value).upper() in {"Y", "1", "TRUE"}
        return bool(actual) is (wanted_active is not prefix.startswith("!"))
    if name in _DATES:
        at = parse(php.to_text(value), call.portal.spec.server_zone)
        if at is None:
            return False  # not a date: the condition finds nothing (user-get.md)
        return bool(actual) and _compare(prefix, actual, at.isoformat())
    if name == "ID":
        wanted = [php.to_int(item) for item in php.as_items(value)]
    elif name == "UF_DEPARTMENT":
        hit = not {php.to_int(item) for item in php.as_items(value)}.isdisjoint(actual)
        return hit is not prefix.startswith("!")
    else:
        return _fits_text(prefix, actual.casefold(), [php.to_text(item).casefold() for item in php.as_items(value)])
    if not wanted:
        return True
    if prefix in {"", "=", "@"}:
        return actual in wanted
    if prefix in {"!", "!=", "!@"}:
        return actual not in wanted
    return _compare(prefix, actual, wanted[0] if not isinstance(value, dict) else 1)


def _fits_text(prefix: str, actual: str, wanted: list[str]) -> bool:
    if not wanted:
        return True
    hit = any(part.replace("%", "") in actual for part in wanted) if "%" in prefix else actual in wanted
    return hit is not prefix.startswith("!")


def _compare(prefix: str, left: Json, right: Json) -> bool:
    if prefix == ">":
        return bool(left > right)
    if prefix == ">=":
        return bool(left >= right)
    if prefix == "<":
        return bool(left < right)
    if prefix == "<=":
        return bool(left <= right)
    return bool((left == right) is not prefix.startswith("!"))
