"""Where a search is right now, as another process sees it: whether it works, what it told last, and what starting it again would do."""

from collections.abc import Sequence

import msgspec

from fvsearch.fronts.standing import ledger_standings
from fvsearch.ledger import Ledger, TrialRecord
from fvsearch.ledger.crew import Coordinator, coordinators
from fvsearch.records import Record
from fvsearch.search.to_confirm import is_confirmed
from fvsearch.search.underway import Underway, time_left, underway
from fvsearch.search.watching import CONFIRMING, Live, is_alive, read_live, seconds_since


class Now(Record, frozen=True, kw_only=True):
    """A search at this moment.

    Attributes:
        alive: Whether it works.
        activity: What it does; empty where it does not work.
        ended: Trials of this study that have; those taken over from another do not count.
        imported: Trials taken over from another study.
        running: How far trials are that have not ended; they stand still where the search does not work.
        refused: Suggestions over budget as predicted, since the latest start; none where that is not on record.
        hypervolume: Of the feasible trials by now; none where it is not known.
        seconds_left: Until the last trial ends; none where the search does not work, or it is not known.
        feasible: The size of the space and of what the budget leaves of it; empty where it is not on record.
        next: What happens next, in a sentence: in a search that does not work, what the same command does.
    """

    alive: bool
    activity: str
    ended: int
    imported: int
    running: tuple[Underway, ...]
    refused: int | None
    hypervolume: float | None
    seconds_left: float | None
    feasible: str
    next: str


def now_of(ledger: Ledger) -> Now:
    """Where the search is whose ledger this is."""
    study, folder, entries = ledger.study, ledger.folder, ledger.entries()
    records = [entry.record for entry in entries]
    crew = coordinators(ledger, left=True) if ledger.shared else ()
    live = told_by(crew) if ledger.shared else read_live(folder)
    alive = any(map(works, crew)) if ledger.shared else live is not None and is_alive(live)
    hosts = {one.id: one.member.process.host for one in crew}
    running = tuple(
        underway(study, folder, entry.record, hosts.get(entry.owner, "")) for entry in entries if entry.record.state == "running"
    )
    return Now(
        alive=alive,
        activity=live.activity if live and alive else "",
        ended=sum(record.state != "running" and not record.imported for record in records),
        imported=sum(record.imported != "" for record in records),
        running=running,
        refused=live.refused if live else None,
        hypervolume=live.hypervolume if live else None,
        seconds_left=_seconds_left(ledger, live, records) if live and alive else None,
        feasible=live.feasible if live else "",
        next="" if alive else _next(ledger, live, records, running),
    )


def works(one: Coordinator) -> bool:
    """Whether a coordinator works, as far as a reader can tell at once: by its process, or by its clock when its heart last beat."""
    process, member = one.member.process, one.member
    return not one.left and (process.lives if process.can_be_seen else bool(member.at) and seconds_since(member.at) < member.lease.length)


def told_by(crew: Sequence[Coordinator]) -> Live | None:
    """What coordinators told last, those that work if any does, as one; none where none told anything."""
    working = [one for one in crew if works(one)]
    lives = [(one, msgspec.json.decode(one.member.told, type=Live)) for one in working or crew if one.member.told]
    if not lives:
        return None
    latest = max((live for _, live in lives), key=lambda live: live.at)
    if not working:
        return latest
    hosts: dict[str, list[str]] = {}
    for one, live in lives:
        hosts.setdefault(live.activity, []).append(one.member.process.host)
    doing = "; ".join(f"{activity} on {', '.join(sorted(on))}" for activity, on in hosts.items())
    return msgspec.structs.replace(
        latest,
        activity=doing if len(working) == 1 else f"{len(working)} coordinators: {doing}",
        refused=sum(live.refused for _, live in lives),
        hypervolume=max((live.hypervolume for _, live in lives if live.hypervolume is not None), default=None),
    )


def _seconds_left(ledger: Ledger, live: Live, records: Sequence[TrialRecord]) -> float | None:
    """As it was told; where it was not known then, it may be by now."""
    if live.seconds_left is not None:
        return max(0.0, live.seconds_left - seconds_since(live.at))
    workers = max((invocation.workers for invocation in ledger.invocations()[-1:]), default=1)
    return time_left(ledger.study, ledger.folder, records, workers)


def _next(ledger: Ledger, live: Live | None, records: Sequence[TrialRecord], running: Sequence[Underway]) -> str:
    """What the command that started the search does when it is given again."""
    study, invocations = ledger.study, ledger.invocations()
    command = f"`{invocations[-1].command}`" if invocations and invocations[-1].command else "the same `fvsearch run`"
    steps = []
    if running:
        each = [f"trial {one.number} from {f'epoch {one.epochs} of {one.of}' if one.epochs else 'the start'}" for one in running]
        steps.append(f"goes on with {', '.join(each)}")
    own = sum(not record.imported for record in records)
    to_start = study.trials - own
    has_ended = live is not None and live.has_ended and live.total == study.trials
    if to_start > 0:
        steps.append(f"starts {to_start} more")
    quiet = ledger.quiet_pass().throughput
    if not has_ended and (running or to_start > 0 or any(s.place == "front" and s.number not in quiet for s in ledger_standings(ledger))):
        steps.append("measures the front")
    # `fvsearch confirm` may have been asked for more seeds than the study.
    if not has_ended and ((study.confirm and steps) or not is_confirmed(ledger)):
        steps.append("trains the front again with fresh seeds")
    if not steps and live and live.activity.startswith(CONFIRMING):
        return "interrupted: the same `fvsearch confirm` goes on with what is still to be trained again"
    if not steps:
        return "at its end"
    if has_ended:
        why = "its time was up, or nothing within budget was left to try"
        return f"ended with {own} of the {study.trials} trials asked for, for {why}: {command} {' and '.join(steps)}"
    return f"interrupted: {command} {', '.join(steps[:-1])}{' and ' if len(steps) > 1 else ''}{steps[-1]}"
