"""Stops before a catastrophe: decides whether what is missing may be believed deleted at all. Pure."""

from worker.errors import GuardTripped


def judge(*, resource: str, missing: int, live: int, max_share: float) -> None:
    """Raise GuardTripped when too many of the `live` rows are missing at once. No alarm when both sides are empty.

    One row of several is no catastrophe, whatever its share: it is asked for by its ID, and where a few rows are all
    there are, every ordinary deletion would call an operator. A share of 0 means it: never without an operator.
    """
    believed = max(1.0, max_share * live) if max_share else 0.0
    if live and (missing > believed or (missing >= live and max_share < 1)):
        raise GuardTripped(
            f"{missing} of {live} {resource} are missing on the portal, more than the share of {max_share:g} that is "
            f"believed at once: nothing was deleted. If they are really gone, run `b24sync sync --resource {resource} "
            "--reconcile --force`"
        )


def judge_rights(
    *, resource: str, was_admin: bool | None, is_admin: bool, had_scope: frozenset[str], scope: frozenset[str]
) -> None:
    """Raise GuardTripped when the account sees less than it did at the last complete run."""
    lost = sorted(had_scope - scope)
    if (was_admin and not is_admin) or lost:
        what = "administrator rights" if not lost else f"the scope {', '.join(lost)}"
        raise GuardTripped(
            f"the account lost {what} since {resource} were last read completely, so missing rows prove nothing: "
            f"nothing was deleted. Give the rights back, or accept the smaller view with `b24sync sync --resource "
            f"{resource} --reconcile --force`"
        )
