"""How lengths of time are said to people, on a page as on a terminal."""


def span(seconds: float) -> str:
    """A length of time as a person says it: one unit is enough."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
