"""Trouble on order: what a test asks the portal to do wrong next."""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

REQUEST_KINDS = frozenset(
    [
        "rate_limit",
        "internal_error",
        "html",
        "empty",
        "cut",
        "broken_json",
        "wrong_shape",
        "reset",
        "hang",
        "expired_token",
        "invalid_token",
        "overload",
        "portal_deleted",
        "redirect",
    ]
)
"""They meet a whole HTTP request."""
CALL_KINDS = frozenset(
    [
        "operation_time_limit",
        "sub_error",
        "sub_missing",
        "page_repeat",
        "page_fall",
        "lost_rows",
        "lost_instances",
        "doubled_rows",
        "surrogate",
        "junk_field",
    ]
)
"""They meet one call, alone or inside a batch (`sub_*` only there)."""
PAGE_KINDS = CALL_KINDS - {"operation_time_limit", "sub_error", "sub_missing"}
"""They spoil rows: methods that give none let them wait."""
TOKEN_KINDS = frozenset(
    [
        "invalid_grant",
        "invalid_client",
        "wrong_client",
        "payment_required",
        "server_error",
        "html",
        "lose_answer",
        "hang",
    ]
)


@dataclass
class Fault:
    kind: str
    times: int = 1
    after: int = 0
    method: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


class Faults:
    """A queue of faults; the first one that fits is used up."""

    def __init__(self, kinds: frozenset[str] = REQUEST_KINDS | CALL_KINDS) -> None:
        self._kinds = kinds
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, kind: str, times: int = 1, after: int = 0, method: str | None = None, **options: Any) -> None:  # noqa: ANN401  options are the kind's own
        """Order a fault for the next `times` fitting requests, once `after` of them have passed unharmed."""
        if kind not in self._kinds:
            raise ValueError(f"no such fault here: {kind}")
        with self._lock:
            self._faults.append(Fault(kind, times, after, method, options))

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, kinds: Collection[str], methods: Collection[str]) -> Fault | None:
        """The fault for this request or call, if one is due."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or (fault.method is not None and fault.method not in methods):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None
