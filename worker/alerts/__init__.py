"""Tells an operator's webhook what needs a person, once, and when it is over.

`conditions`: what is the matter now. `alerter`: what of it is news, and its delivery. The state is in the database.
"""

from worker.alerts.alerter import Alerter

__all__ = ["Alerter"]
