"""What is synced: which calls are made, and how a record becomes a row. No network, no SQL, no clock.

Names:
    RESOURCES: The resources in the order in which a run takes them: the people first, whom the others point at.
"""

RESOURCES = ("users", "tasks", "planner", "calendar")
