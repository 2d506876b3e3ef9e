"""How it is synced: decide a plan, read in shared batches, write what changed, believe no deletion lightly.

`portal.py` is one portal's turn, under its lease. `plan.py` decides, purely, what each resource does in it; `due.py`
decides when it comes again. `pulls.py` says which pulls an account's part consists of, and `engine.py` drives them
through shared batches. A pull (`account.py`, `listing.py`, `planner.py`, `calendar.py`) gives calls and takes their
answers; `events.py` and `events_setup.py` take what the portal tells by itself; `sweep.py` and `guard.py` decide which
deletions are believed. `report.py` is what a run leaves behind.
"""
