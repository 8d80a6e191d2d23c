"""The coordinators of one study: who is there, who is gone, and what only one of them does at a time.

A coordinator's row in the database holds a count that a thread of it raises every few seconds. The others watch the count, each by its own
steady clock, and only while they can read it: no clock of any machine is compared with another's, so one that jumps takes nothing over, and
a database that was away for a while is no death.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from fvsearch.errors import ConfigError
from fvsearch.ledger import Ledger
from fvsearch.ledger.records import now
from fvsearch.processes import ProcessName
from fvsearch.records import Record, require_at_least

if TYPE_CHECKING:
    import sqlalchemy

HEARTBEAT, LEASE = 10.0, 60.0
"""Seconds between two beats of a coordinator, and of silence after which others take its trials over."""

_POLL = 1.0
"""Seconds between two looks at whether another has done what one waits for."""

_STEP = 5.0
"""Seconds that count at most between two looks at a coordinator: an observer that slept has not heard its silence."""

Tell = Callable[[str], None]


class Lease(Record, frozen=True, kw_only=True):
    """For how long a coordinator is believed to live.

    Attributes:
        heartbeat: Seconds between two signs of life.
        length: Seconds without one after which others take its trials over; at least three heartbeats, for one may be late.
    """

    heartbeat: float = HEARTBEAT
    length: float = LEASE

    def __post_init__(self) -> None:
        require_at_least(0.05, self, "heartbeat")
        if self.length < 3 * self.heartbeat:
            raise ConfigError(
                f"a lease must last at least three heartbeats, but got {self.length:g} s and a heartbeat every {self.heartbeat:g} s; "
                "give a longer --lease or a shorter --heartbeat"
            )


class Member(Record, frozen=True, kw_only=True):
    """What a coordinator says of itself.

    Attributes:
        process: Which it is.
        workers: Trainings at a time.
        lease: For how long it is to be believed to live.
        told: What its search told last, as JSON; empty at first.
        at: When it said so, ISO 8601, UTC, by its own clock: for a reader to show.
    """

    process: ProcessName
    workers: int
    lease: Lease = Lease()
    told: str = ""
    at: str = ""


class Coordinator(NamedTuple):
    """A member, as its row stands.

    Attributes:
        id: Its ledger's owner.
        beat: How often its heart has beaten.
        left: Whether it said good-bye.
        task: What it does that only one may do at a time.
    """

    id: str
    beat: int
    left: bool
    task: str | None
    member: Member


class Crew:
    """A coordinator alone in its folder: whoever else owned a trial is gone, for it would own the folder."""

    @property
    def is_shared(self) -> bool:
        """Whether there may be others."""
        return False

    def is_gone(self, owner: str) -> bool:
        """Whether an owner of trials works no more; as of the latest look."""
        return True

    def look(self) -> None:
        """See who is there."""

    def others(self) -> tuple[Coordinator, ...]:
        """Those who are there, as of the latest look."""
        return ()

    def say(self, told: str) -> None:
        """Let others read what the search told last."""

    @contextlib.contextmanager
    def alone(self, task: str, tell: Tell) -> Iterator[None]:
        """Do what only one of them does at a time.

        Args:
            task: What it is, after "which is".
            tell: Told for whom this waits.
        """
        yield


class SharedCrew(Crew):
    """One of several coordinators, which may be on other machines.

    Args:
        ledger: That they share.
        member: This one.
    """

    def __init__(self, ledger: Ledger, member: Member) -> None:
        self._ledger, self._member = ledger, member
        self._watch: dict[str, _Watched] = {}
        self._found: tuple[Coordinator, ...] = ()
        self._told = ""
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._join()
        self._heart.start()

    @property
    def is_shared(self) -> bool:
        """There may be others."""
        return True

    def is_gone(self, owner: str) -> bool:
        """Whether an owner of trials works no more; as of the latest look."""
        if owner == self._ledger.owner:
            return False
        return not any(one.id == owner for one in self.others())

    def look(self) -> None:
        """See who is there."""
        self._found = tuple(one for one in coordinators(self._ledger) if one.id != self._ledger.owner)
        for one in self._found:
            watched = self._watch.setdefault(one.id, _Watched())
            watched.see(one)

    def others(self) -> tuple[Coordinator, ...]:
        """Those who are there, as of the latest look."""
        return tuple(one for one in self._found if not one.left and not self._watch[one.id].is_dead(one))

    def say(self, told: str) -> None:
        """Let others read what the search told last, with the next beat."""
        self._told = told

    @contextlib.contextmanager
    def alone(self, task: str, tell: Tell) -> Iterator[None]:
        """Wait until nobody who is there does it, and keep others from it."""
        while (holder := self._begin(task)) is not None:
            tell(f"waiting for {holder.member.process.host}, which is {task}")
            time.sleep(_POLL)
        try:
            yield
        finally:
            self._set(task=None)

    def leave(self) -> None:
        """Say good-bye: what this one still owned is free for others at once."""
        from sqlalchemy.exc import SQLAlchemyError

        self._ended.set()
        self._heart.join(timeout=self._member.lease.heartbeat)
        # Where the database is away, silence will say the same.
        with contextlib.suppress(SQLAlchemyError), self._ledger.storage.transaction():
            self._set(left=True, task=None, record=self._record())

    def _begin(self, task: str) -> Coordinator | None:
        """Take a task; who has it, where someone has."""
        from fvsearch.ledger._tables import next_revision

        def take(connection: "sqlalchemy.Connection") -> Coordinator | None:
            # One after the other: so only one finds that nobody has it.
            next_revision(connection, self._ledger.study_id)
            self.look()
            if holder := next((one for one in self.others() if one.task == task), None):
                return holder
            self._set(task=task)
            return None

        return self._ledger.storage.change(take)

    def _join(self) -> None:
        from fvsearch.ledger._tables import COORDINATORS, insert_rows

        row = {
            "study_id": self._ledger.study_id,
            "id": self._ledger.owner,
            "beat": 0,
            "left": False,
            "task": None,
            "record": self._record(),
        }

        def enter(connection: "sqlalchemy.Connection") -> None:
            if not any(one.id == self._ledger.owner for one in coordinators(self._ledger)):
                insert_rows(connection, COORDINATORS, [row])

        self._ledger.storage.change(enter)
        self.look()

    def _set(self, **values: object) -> None:
        import sqlalchemy as sa

        from fvsearch.ledger._tables import COORDINATORS

        mine = (COORDINATORS.c.study_id == self._ledger.study_id, COORDINATORS.c.id == self._ledger.owner)
        self._ledger.storage.change(lambda connection: connection.execute(sa.update(COORDINATORS).where(*mine).values(**values)))

    def _record(self) -> str:
        return msgspec.json.encode(msgspec.structs.replace(self._member, told=self._told, at=now())).decode()

    def _beat(self) -> None:
        """The thread's work, on a connection of its own."""
        import sqlalchemy as sa
        from sqlalchemy.exc import SQLAlchemyError

        from fvsearch.ledger._tables import COORDINATORS

        mine = (COORDINATORS.c.study_id == self._ledger.study_id, COORDINATORS.c.id == self._ledger.owner)
        while not self._ended.wait(self._member.lease.heartbeat):
            # One that was taken for gone is back.
            beat = sa.update(COORDINATORS).where(*mine).values(beat=COORDINATORS.c.beat + 1, left=False, record=self._record())
            # A beat that is not heard is silence, which is what it should be; the search itself says that the database is away.
            with contextlib.suppress(SQLAlchemyError), self._ledger.storage.transaction() as connection:
                connection.execute(beat)


class _Watched:
    """For how long a coordinator has been silent."""

    def __init__(self) -> None:
        self._beat, self._silent, self._at = -1, 0.0, time.monotonic()

    def see(self, one: Coordinator) -> None:
        now = time.monotonic()
        # Steps no longer than a beat's distance: two looks between which it could have beaten.
        step = min(now - self._at, _STEP, one.member.lease.length / 3)
        self._silent = 0.0 if one.beat != self._beat else self._silent + step
        self._beat, self._at = one.beat, now

    def is_dead(self, one: Coordinator) -> bool:
        process = one.member.process
        return self._silent > one.member.lease.length or (process.can_be_seen and not process.lives)


def coordinators(ledger: Ledger, left: bool = False) -> tuple[Coordinator, ...]:
    """All that have not said good-bye.

    Args:
        ledger: That they share.
        left: Those who have, too.
    """
    import sqlalchemy as sa

    from fvsearch.ledger._tables import COORDINATORS

    query = sa.select(COORDINATORS).where(COORDINATORS.c.study_id == ledger.study_id)
    query = query if left else query.where(sa.not_(COORDINATORS.c.left))
    rows = ledger.storage.look(lambda connection: connection.execute(query).all())
    return tuple(Coordinator(row.id, row.beat, row.left, row.task, msgspec.json.decode(row.record, type=Member)) for row in rows)


@contextlib.contextmanager
def join(ledger: Ledger, workers: int, lease: Lease) -> Iterator[Crew]:
    """Be one of a ledger's coordinators for the block: alone, where the ledger is not shared."""
    if not ledger.shared:
        yield Crew()
        return
    crew = SharedCrew(ledger, Member(process=ProcessName.here(), workers=workers, lease=lease))
    try:
        yield crew
    finally:
        crew.leave()
