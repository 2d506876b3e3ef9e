"""What every answer may ask for: the parts of this process, and what it checks of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask import current_app

from worker.wiring import Wiring

SERVICE = "b24sync"

Check = Callable[[], str | None]
"""Looks at one part of this process: None when it is well, else what is wrong, in a few words without secrets."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the app was made over."""

    wiring: Wiring
    checks: Mapping[str, Check] = field(default_factory=dict)


def context() -> Context:
    it: Context = current_app.extensions[SERVICE]
    return it


def wiring() -> Wiring:
    return context().wiring
