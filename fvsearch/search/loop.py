"""run_study: ask, predict, dispatch, tell; then the quiet pass."""

import time
from pathlib import Path

import msgspec

from fvsearch import __version__
from fvsearch.calibrating.choose import check_wanted
from fvsearch.costs.calibration import Predictions
from fvsearch.costs.feasibility import require_feasible
from fvsearch.data import check_source, prepare_source
from fvsearch.engines import Done, Failed, check_engine
from fvsearch.fronts.volume import reference
from fvsearch.ledger import STUDY_FILE, Entry, Invocation, Ledger, Taken, TrialRecord, now
from fvsearch.ledger.crew import Crew, join
from fvsearch.ledger.owning import opened
from fvsearch.pools import Pool
from fvsearch.search.beginning import begin, least_predictor, make_screen, require_backend, say_feasible
from fvsearch.search.confirming import confirm
from fvsearch.search.quiet import ended_trials, measure_front
from fvsearch.search.screening import Candidate, Screen
from fvsearch.search.taking_over import open_source
from fvsearch.search.tally import Tally
from fvsearch.search.trials import asked_again, failed, new_trial, next_segment, on_backend, with_result
from fvsearch.search.watching import CONFIRMING, DONE, Progress, Watcher, kept
from fvsearch.search.workers import Jobs, RunSettings, as_sentence, open_pool
from fvsearch.study import Confirm, Study
from fvsearch.training.segment import Segment, SegmentResult, run_segment
from fvsearch.units import show_seconds

POLL = 2.0
"""Seconds between two looks at what other coordinators did."""

BILL_EVERY = 10.0
"""Seconds between two entries of how long a start has taken."""


def run_study(study: Study, folder: Path, settings: RunSettings, watcher: Watcher = lambda progress: None) -> Ledger:
    """Search until the study has its trials, or nothing is left to try, or the time is up; then measure the front alone.

    Interrupted at any point, the same call goes on from there. Where the ledger is shared, other coordinators may search beside this one.

    Args:
        study: What to search.
        folder: Of the study; made if need be.
        settings: How.
        watcher: Told of progress.

    Raises:
        ConfigError: The study cannot run: no such data or none that fits, nothing within budget, a folder that holds another study or
            cannot be written, a calibration that does not fit, a database that cannot be used.
        LockedError: Another process works on the folder.
        RunError: The baseline cannot be trained or measured on this device, or a database is lost for longer than our patience.
    """
    check_source(study.data)
    check_engine(study)
    check_wanted(settings.calibration, study, settings.backend)
    require_feasible(study, least_predictor(study))
    # On a resume the other study's folder may be gone.
    if not (folder / STUDY_FILE).exists() and (other := open_source(study, folder)):
        other.close()
    prepare_source(study.data, lambda activity: watcher(Progress(activity=activity, done=0, total=study.trials)))
    with opened(study, folder, settings.storage) as ledger, join(ledger, settings.workers, settings.lease) as crew:
        if not settings.force_backend:
            require_backend(ledger, settings.backend)
        _Search(ledger, settings, kept(folder, watcher, crew.say if crew.is_shared else None), crew).run()
    return ledger


_Segments = Jobs[TrialRecord, Segment, SegmentResult]


class _Search:
    """One start of a study: its loop and what the loop holds."""

    def __init__(self, ledger: Ledger, settings: RunSettings, watcher: Watcher, crew: Crew) -> None:
        self.ledger, self.study = ledger, ledger.study
        self.settings, self.watcher, self.crew = settings, watcher, crew
        self.reference = reference(self.study)
        self.tally = Tally(self.study, self.reference, ledger.quiet_pass())
        self.entries: dict[int, Entry] = {}
        self.running: tuple[TrialRecord, ...] = ()
        self.exhausted = False
        self.screen: Screen | None = None
        self.predictions = Predictions()
        self.progress = Progress(activity="", done=0, total=self.study.trials)
        self.started = self.heard = time.monotonic()
        self.invocation = Invocation(
            command=settings.command,
            started=now(),
            backend=settings.backend,
            workers=settings.workers,
            version=__version__,
            key=ledger.owner[:8],
        )
        ledger.storage.on_wait = self._tell_progress

    def run(self) -> None:
        """From wherever the ledger stands to the end."""
        self._bill()
        beginning = begin(self.ledger, self.settings, self.crew, self._tell)
        self.anchor, self.predictor, self.baseline = beginning.anchor, beginning.predictor, beginning.baseline
        self.predictions = beginning.predictions
        self.screen = make_screen(self.ledger, self.settings, beginning)
        for entry in self.ledger.history():
            self._take_in(self.screen, entry)
        self.progress = msgspec.structs.replace(self.progress, feasible=say_feasible(self.study, beginning, self.screen))
        if self.tally.running or self._may_start():
            with open_pool(self.settings, self.ledger.folder, self.study.resources) as pool:
                self._search(pool, self.screen)
        self._finish()
        self._bill()
        self._tell_progress(DONE)

    def _search(self, pool: Pool, screen: Screen) -> None:
        """Keep the workers busy until the trials asked for have ended; those that nobody works on come first."""
        jobs: _Segments = Jobs(pool, run_segment)
        while True:
            self._hear(screen, patience=POLL)
            while jobs.has_room and (record := self._adopted(jobs) or self._next_trial(screen)) is not None:
                self._submit(jobs, record)
            if not jobs.owners:
                # What others work on may come to be for us to end; and there may be room for more by then.
                if self._is_late() or not self.tally.running:
                    break
                self._tell("waiting for the trials of others")
                time.sleep(POLL)
                continue
            self._tell("searching")
            for record, outcome in jobs.ended():
                self._receive(jobs, screen, record, outcome)

    def _hear(self, screen: Screen, patience: float = 0.0) -> None:
        """Take in what others did, unless that was done a moment ago; the engine learns from their trials as from its own.

        Args:
            screen: Before the engine.
            patience: Seconds that count as a moment.
        """
        if not self.crew.is_shared or time.monotonic() - self.heard < patience:
            return
        self.heard = time.monotonic()
        self.crew.look()
        for entry in self.ledger.news():
            self._take_in(screen, entry)

    def _take_in(self, screen: Screen, entry: Entry) -> None:
        """A trial as the ledger has it."""
        record = entry.record
        self._note(entry)
        if record.state == "running":
            screen.dispatch(record.arch)
        else:
            screen.tell(record.params, record.arch, record.outcome(self.study))
            # An engine that had no more to propose may have, now that it knows this.
            self.exhausted = False

    def _note(self, entry: Entry) -> None:
        """Keep how a trial stands."""
        if entry.record.state in ("running", "paused"):
            self.entries[entry.record.number] = entry
        else:
            self.entries.pop(entry.record.number, None)
        self.tally.hear(entry.record)

    def _adopted(self, jobs: _Segments) -> TrialRecord | None:
        """A trial whose coordinator is gone, under its number, from now on ours; none where there is none."""
        ours = {owner.number for owner in jobs.owners}
        for number, entry in sorted(self.entries.items()):
            if entry.record.state != "running" or number in ours:
                continue
            if self.crew.is_gone(entry.owner) and self.ledger.take(entry, on_backend(entry.record, self.settings.backend)):
                return self._now_ours(on_backend(entry.record, self.settings.backend))
        return None

    def _now_ours(self, record: TrialRecord) -> TrialRecord:
        self._note(Entry(record, self.ledger.owner, -1))
        return record

    def _may_start(self) -> bool:
        # An engine that paused trials may ask for more of them when no new one may start.
        full = self.tally.is_full and not self.tally.has_paused
        return not (self.exhausted or full or self._is_late())

    def _is_late(self) -> bool:
        budget = self.settings.time_budget
        return budget is not None and time.monotonic() - self.started >= budget

    def _next_trial(self, screen: Screen) -> TrialRecord | None:
        """Enter the next arch in the ledger, the baseline first, or a paused one again; none while the engine waits or when it is done."""
        while self._may_start():
            candidate = screen.next() if self.tally.has_begun else self.baseline
            if not isinstance(candidate, Candidate):
                self.exhausted = isinstance(candidate, Done)
                return None
            paused = self.tally.paused(candidate.arch.arch_hash)
            if paused is None and self.tally.is_full:
                # Told as failed, so that the engine does not wait for it.
                screen.tell(candidate.params, candidate.arch, Failed(reason="no trial was left for it"))
                self.exhausted = True
                return None
            if (record := self._enter(candidate, paused)) is not None:
                screen.dispatch(record.arch)
                return self._now_ours(record)
            # Another was faster: the arch, or the last of the trials, is theirs. Nothing of ours is entered.
            screen.dispatch(candidate.arch)
            self._hear(screen)
        return None

    def _enter(self, candidate: Candidate, paused: TrialRecord | None) -> TrialRecord | None:
        """Enter a candidate in the ledger; none where another coordinator was faster."""
        backend = self.settings.backend
        if paused is not None:
            record = asked_again(on_backend(paused, backend), candidate.epochs)
            return record if self.ledger.take(self.entries[record.number], record) else None
        try:
            return self.ledger.start(new_trial(self.study, candidate, backend), self.study.trials if self.crew.is_shared else None)
        except Taken:
            return None

    def _submit(self, jobs: _Segments, record: TrialRecord) -> None:
        """Start a trial's next segment."""
        jobs.submit(record, next_segment(self.study, record, self.anchor, self.ledger.folder))
        self.running = jobs.owners

    def _receive(self, jobs: _Segments, screen: Screen, record: TrialRecord, outcome: SegmentResult | Exception) -> None:
        """A segment has ended: start the trial's next one, or end or pause the trial."""
        self.running = jobs.owners
        if isinstance(outcome, Exception):
            record = failed(record, as_sentence(outcome))
        else:
            record = with_result(self.study, record, outcome, self.anchor, self.predictor, self.tally.rungs)
        limit, trained = self.settings.trial_timeout, sum(record.seconds.values())
        if record.state == "running" and limit is not None and trained > limit:
            record = failed(record, f"it trained for {show_seconds(trained)}, and was not at its end after {limit:g} s")
        # What was decided at a rung stands, also after a kill.
        if not self.ledger.update(record):
            # Our lease had run out, and another goes on with the trial: its record is the one.
            self._hear(screen)
            return
        self._now_ours(record)
        if record.state == "running":
            self._submit(jobs, record)
            return
        screen.tell(record.params, record.arch, record.outcome(self.study))
        # An engine that had no more to propose may have, now that it knows this.
        self.exhausted = False
        self._tell("searching", ended=record)

    def _finish(self) -> None:
        """Measure the front, and train again what is to be confirmed: the last of the coordinators, and no two at once."""
        if self.tally.running:
            return
        with self.crew.alone("measuring the front", self._tell):
            trials = ended_trials(self.ledger)
            measure_front(self.ledger, self.settings, trials, self._tell)
            self.tally.measure(self.ledger.quiet_pass(), trials)
        if self.study.confirm is None or not self.tally.has_completed:
            return
        self.crew.look()
        if all(one.task != CONFIRMING for one in self.crew.others()):
            with self.crew.alone(CONFIRMING, self._tell):
                self._confirm(self.study.confirm)

    def _confirm(self, asked: Confirm) -> None:
        """Train again, with fresh seeds, what the study says is to be confirmed."""
        tell = self._tell
        confirm(self.ledger, self.settings, asked.seeds, asked.archs, asked.train_shares, lambda confirming: tell(confirming.activity))

    def _bill(self, patience: float = 0.0) -> None:
        """Keep the wall time of this start in the ledger, unless that was done a moment ago: a kill loses no more."""
        seconds = time.monotonic() - self.started
        if seconds - self.invocation.seconds >= patience:
            self.invocation = msgspec.structs.replace(self.invocation, seconds=seconds)
            self.ledger.set_invocation(self.invocation)

    def _tell(self, activity: str, ended: TrialRecord | None = None) -> None:
        """Keep the books and tell the watcher: what time this start took is known after a kill, whether a trial has ended or not."""
        self._bill(patience=BILL_EVERY)
        self._tell_progress(activity, ended)

    def _tell_progress(self, activity: str, ended: TrialRecord | None = None) -> None:
        """Tell the watcher; what takes a look at every trial is counted anew only where a trial has ended or another activity begins."""
        if ended or activity != self.progress.activity:
            self.progress = msgspec.structs.replace(self._count(), activity=activity, predictions=self.predictions.note)
        refused = self.screen.refused if self.screen else 0
        self.watcher(msgspec.structs.replace(self.progress, running=self.running, refused=refused, ended=ended))

    def _count(self) -> Progress:
        tally, limit = self.tally, self.settings.time_budget
        until = None if limit is None else max(0.0, self.started + limit - time.monotonic())
        workers = self.settings.workers + sum(one.member.workers for one in self.crew.others())
        return msgspec.structs.replace(
            self.progress,
            done=tally.done,
            stopped=tally.stopped,
            on_front=tally.on_front,
            hypervolume=tally.hypervolume,
            seconds_left=tally.seconds_left(self.ledger.folder, workers, until),
        )
