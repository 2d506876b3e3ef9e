"""A portal that was renamed answers with a redirect: where may its secrets follow it? Pure.

Vendor: settings/how-to-call-rest-api/change-domen.md says to send the call to `Location`, whatever that is. A token or
a webhook's secret goes there only if the new address can belong to the same owner; else a person decides.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from worker.loopback import is_loopback

# The vendor's cloud: names below these belong to portals, and only the vendor redirects from one to another. Zones
# where customers publish sites of their own (.site, .shop) are none of them.
_ZONES = "by|cn|co|com|com.br|com.tr|de|es|eu|fr|id|in|it|jp|kz|la|mx|pl|ru|tr|tw|ua|uk|uz|vn"
_CLOUD: Final = re.compile(rf"[a-z0-9-]+\.bitrix24\.({_ZONES.replace('.', '[.]')})")

# Names under which anybody may register: a common suffix of `example.co.uk` and `other.co.uk` means nothing.
_PUBLIC_SECOND: Final = frozenset({"ac", "co", "com", "edu", "gob", "gov", "gv", "info", "net", "nom", "or", "org"})


def new_rest_url(old_rest_url: str, location: str) -> str | None:
    """The REST address behind a redirect's target, or None where our secrets must not go there."""
    try:
        old, new = urlsplit(old_rest_url), urlsplit(location)
        old_host, new_host = (old.hostname or "").lower(), (new.hostname or "").lower()
        port = new.port  # raises for nonsense
    except ValueError:
        return None
    path, found, _ = new.path.partition("/rest/")
    if not found or not new_host or new.username is not None or new.password is not None:
        return None
    if new.scheme != "https" and not (new.scheme == "http" and is_loopback(new_host)):
        return None
    if not _same_owner(old_host, new_host):
        return None
    netloc = new_host if port is None else f"{new_host}:{port}"
    return f"{new.scheme}://{netloc}{path}/rest/"


def _same_owner(old: str, new: str) -> bool:
    if old == new or (is_loopback(old) and is_loopback(new)):
        return True
    if _CLOUD.fullmatch(old) or _CLOUD.fullmatch(new):
        return bool(_CLOUD.fullmatch(old) and _CLOUD.fullmatch(new))
    ours = _registrable(old)
    return ours is not None and ours == _registrable(new)


def _registrable(host: str) -> str | None:
    """The part of a name that one owner registered: its last two labels, or three below `co.uk` and its like."""
    labels = host.split(".")
    if host.replace(".", "").isdigit() or ":" in host:
        return None  # an address, not a name
    country = len(labels[-1]) == 2  # noqa: PLR2004
    needed = 3 if country and len(labels) > 1 and (labels[-2] in _PUBLIC_SECOND or len(labels[-2]) == 2) else 2  # noqa: PLR2004
    return ".".join(labels[-needed:]) if len(labels) >= needed and all(labels) else None
