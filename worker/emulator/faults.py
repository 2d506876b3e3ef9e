"""Trouble on order: what a test asks the portal to do wrong next."""

import random
import threading
from collections.abc import Collection, Sequence
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
        self._share = 0.0
        self._chances: Sequence[Fault] = ()
        self._dice = random.Random(0)
        self.met = 0
        """How many faults were taken."""

    def add(self, kind: str, times: int = 1, after: int = 0, method: str | None = None, **options: Any) -> None:  # noqa: ANN401  options are the kind's own
        """Order a fault for the next `times` fitting requests, once `after` of them have passed unharmed."""
        if kind not in self._kinds:
            raise ValueError(f"no such fault here: {kind}")
        with self._lock:
            self._faults.append(Fault(kind, times, after, method, options))

    def by_chance(self, share: float, faults: Sequence[Fault], seed: int) -> None:
        """From now on a `share` of all requests meets one of these, each as often as the others."""
        if unknown := {fault.kind for fault in faults} - self._kinds:
            raise ValueError(f"no such fault here: {', '.join(sorted(unknown))}")
        with self._lock:
            self._share, self._chances, self._dice = share, faults, random.Random(seed)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self._share = 0.0

    def take(self, kinds: Collection[str], methods: Collection[str]) -> Fault | None:
        """The fault for this request or call, if one is due."""
        if not self._faults and not self._share:
            return None
        with self._lock:
            fault = self._ordered(kinds, methods) or self._thrown(kinds)
            self.met += fault is not None
            return fault

    def _thrown(self, kinds: Collection[str]) -> Fault | None:
        """By chance. Only kinds of whole requests are thrown for, once a request."""
        if not self._share or not all(fault.kind in kinds for fault in self._chances):
            return None
        return self._dice.choice(self._chances) if self._dice.random() < self._share else None

    def _ordered(self, kinds: Collection[str], methods: Collection[str]) -> Fault | None:
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
