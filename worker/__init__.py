"""b24sync keeps a local SQL database a true copy of the tasks and calendars of Bitrix24 portals."""

from importlib.metadata import version

__version__ = version("b24sync")
