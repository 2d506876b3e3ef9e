"""Small methods about the portal and the application (api-reference/common/system/)."""

from typing import TYPE_CHECKING

from worker.emulator import php
from worker.emulator.dates import iso
from worker.emulator.errors import RestError
from worker.emulator.php import Json

if TYPE_CHECKING:
    from worker.emulator.rest import Call

_SCOPES = ["task", "calendar", "user", "user_basic", "user_brief", "department", "tasks"]


def server_time(call: "Call") -> Json:
    return iso(call.now, call.portal.spec.server_zone)


def scope(call: "Call") -> Json:
    if php.truthy(call.params.get("full")):
        return _SCOPES
    return [name for name in call.portal.scope.split(",") if name in call.scopes]


def methods(call: "Call") -> Json:
    """Old style ones only: `tasks.task.list` is not among them."""
    from worker.emulator.rest import METHODS  # noqa: PLC0415  the table names this function

    everything = php.truthy(call.params.get("full"))
    wanted = php.to_text(call.params.get("scope"))
    return ["batch"] + [
        name
        for name, method in METHODS.items()
        if not method.controller
        and (everything or not method.scopes or method.scopes & call.scopes)
        and (not wanted or wanted in method.scopes)
    ]


def method_get(call: "Call") -> Json:
    """Knows both kinds of methods."""
    from worker.emulator.rest import METHODS  # noqa: PLC0415  the table names this function

    name = php.to_text(call.params.get("name"))
    if not name:
        raise RestError("METHOD_NAME_EMPTY", "METHOD_NAME can't be empty", status=400)
    method = METHODS.get(name.lower())
    if name.lower() == "batch":
        return {"isExisting": True, "isAvailable": True}
    available = method is not None and (not method.scopes or bool(method.scopes & call.scopes))
    return {"isExisting": method is not None, "isAvailable": available}


def feature_get(call: "Call") -> Json:
    code = php.to_text(call.params.get("CODE", call.params.get("code")))
    if not code:
        raise RestError("CODE_EMPTY", "CODE can't be empty", status=400)
    if code == "rest_offline_extended":
        return {"value": "Y" if call.portal.spec.offline_extended else "N"}
    return {"value": "N"}


def app_info(call: "Call") -> Json:
    spec = call.portal.spec
    licence = f"{spec.language}_{'ent250' if spec.enterprise else 'std'}"
    if call.caller.webhook:
        return {"SCOPE": sorted(call.scopes), "LICENSE": licence}
    return {
        "ID": 5,
        "CODE": call.portal.client_id,
        "VERSION": 1,
        "STATUS": "L",
        "INSTALLED": True,
        "PAYMENT_EXPIRED": "N",
        "DAYS": None,
        "LANGUAGE_ID": spec.language,
        "LICENSE": licence,
        "LICENSE_TYPE": licence.partition("_")[2],
        "LICENSE_FAMILY": "ent" if spec.enterprise else "std",
    }
