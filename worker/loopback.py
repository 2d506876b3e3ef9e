"""This very machine, as addresses name it: the only place where plain http is spoken."""

from ipaddress import ip_address


def is_loopback(host: str | None) -> bool:
    """Whether `host` is a name or number of this machine."""
    name = (host or "").strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
