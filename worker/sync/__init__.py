"""How it is synced: decide a plan, read in shared batches, write what changed, believe no deletion lightly.

`portal.py` is one portal's turn, under its lease. `plan.py` decides, purely, what each resource does in it. `engine.py`
drives the pulls of one account through shared batches. A pull (`listing.py`, `sweep.py`, `planner.py`, `calendar.py`)
gives calls and takes their answers. `report.py` is what a run leaves behind.
"""
