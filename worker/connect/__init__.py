"""Connecting an account: by the code flow, a webhook, a token server's answer, or an installation."""

from worker.connect.address import is_inner, portal_url
from worker.connect.authorizer import Authorizer
from worker.connect.connector import FORM, Connector
from worker.connect.register import NEEDED, Connected, ConnectError, Registrar, missing_scopes

__all__ = [
    "FORM",
    "NEEDED",
    "Authorizer",
    "ConnectError",
    "Connected",
    "Connector",
    "Registrar",
    "is_inner",
    "missing_scopes",
    "portal_url",
]
