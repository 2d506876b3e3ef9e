"""Small methods about the portal and the application (api-reference/common/system/)."""

from worker.emulator.rest import php
from worker.emulator.rest.call import Call
from worker.emulator.rest.dates import iso
from worker.emulator.rest.errors import RestError
from worker.emulator.rest.php import Json

_SCOPES = ["task", "calendar", "user", "user_basic", "user_brief", "department", "tasks"]


def server_time(call: Call) -> Json:
    return iso(call.now, call.portal.spec.server_zone)


def scope(call: Call) -> Json:
    if php.truthy(call.params.get("full")):
        return _SCOPES
    return [name for name in call.portal.scope.split(",") if name in call.scopes]


def feature_get(call: Call) -> Json:
    code = php.to_text(call.params.get("CODE", call.params.get("code")))
    if not code:
        raise RestError("CODE_EMPTY", "CODE can't be empty", status=400)
    if code == "rest_offline_extended":
        return {"value": "Y" if call.portal.spec.offline_extended else "N"}
    return {"value": "N"}


def app_info(call: Call) -> Json:
    spec = call.portal.spec
    licence = f"{spec.language}_std"
    if call.caller.webhook:
        return {"SCOPE": sorted(call.scopes), "LICENSE": licence}
    return {
        "ID": 5,
        "CODE": call.portal.client_id,
        "VERSION": 1,
        "STATUS": "L",
        "INSTALLED": call.portal.installed,
        "PAYMENT_EXPIRED": "N",
        "DAYS": None,
        "LANGUAGE_ID": spec.language,
        "LICENSE": licence,
        "LICENSE_TYPE": "std",
        "LICENSE_FAMILY": "std",
    }
