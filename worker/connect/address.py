"""A portal's address from what a person types. Pure: nothing is looked up."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from worker.errors import UsageError
from worker.loopback import is_loopback

LONGEST = 180
"""Characters of host and port; the database keeps 191 of a domain, and of a placeholder made of it."""

_NAME = re.compile(r"[\w.-]+|[0-9a-f:.]+", re.IGNORECASE)
_INNER = (".local", ".localhost", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".arpa")
"""Names that no public server answers for (RFC 6762, RFC 8375, and what routers and companies use)."""


def portal_url(text: str) -> str:
    """The portal's address from what a person types: a domain, perhaps with a scheme. Raises UsageError.

    Plain http is accepted, and implied, for this machine only.
    """
    typed = text.strip()
    try:
        url = urlsplit(typed if "://" in typed else f"//{typed}")
        host, port = url.hostname or "", url.port
    except ValueError:
        raise _no_address(text) from None
    more = url.path.strip("/") or url.query or url.fragment or "@" in url.netloc
    if more or url.scheme not in {"", "http", "https"} or len(url.netloc) > LONGEST or not _NAME.fullmatch(host):
        raise _no_address(text)
    scheme = url.scheme or ("http" if is_loopback(host) else "https")
    if scheme == "http" and not is_loopback(host):
        raise UsageError(f"{host} must be asked over https: plain http is for this machine only")
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{port}" if port else f"{scheme}://{name}"


def is_inner(host: str) -> bool:
    """Whether a host belongs to this machine or to a network behind it, as far as its name tells.

    A name whose last label is a number is an address in a disguise that browsers and resolvers accept (127.1, 0x7f.1).
    """
    name = host.lower().strip("[]").rstrip(".")
    try:
        return not ip_address(name).is_global
    except ValueError:
        last = name.rpartition(".")[2]
        return "." not in name or name.endswith(_INNER) or last.isdigit() or last.startswith("0x")


def _no_address(text: str) -> UsageError:
    return UsageError(f"{text[:LONGEST]!r} is no portal's address: type its domain, such as acme.bitrix24.com")
