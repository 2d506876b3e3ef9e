"""What a mirror cannot know yet, by name; each kind ends with the run that finds it."""

from tests.property.people import People


class Unseen:
    """What the portal does not tell by a date of change, and until when a mirror may therefore differ.

    - `deleted`, `restored` tasks: until a sweep of IDs; what changed of a restored one before: until a full run.
    - `silent` changes (also of the children of a deleted task): until a full run.
    - `hidden`: tasks that the account did not see during a run without its rights: until a full run with them.
    - `rubbish`: a page had junk in a record; until a full run.
    """

    def __init__(self, people: People) -> None:
        self._people = people
        self.hidden: set[int] = set()
        self.rubbish = False

    def explains(self, table: str, own_id: int, column: str | None, told: str) -> bool:
        """Whether a difference may be there after an ordinary run."""
        if self.rubbish and table in {"tasks", "users"}:
            return True
        if table != "tasks":
            return False
        people = self._people
        if own_id in self.hidden:
            return True
        if column is None:
            return own_id in (people.returned if told == "lost" else people.deleted)
        return own_id in people.restored or (own_id in people.silent and column in {"title", "priority", "parent_id"})

    def swept(self) -> None:
        """All IDs were looked at."""
        self._people.deleted.clear()
        self._people.returned.clear()

    def reread(self, *, with_rights: bool) -> None:
        """All tasks were read."""
        people = self._people
        for unseen in (people.silent, people.restored):
            unseen.clear()
        self.rubbish = False
        if with_rights:
            self.hidden.clear()
