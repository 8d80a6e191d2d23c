"""run_study: ask, predict, dispatch, tell; then the quiet pass."""

import time
from pathlib import Path

import msgspec

from fvsearch import __version__
from fvsearch.calibrating.choose import check_wanted, settle_predictions
from fvsearch.calibration import Predictions
from fvsearch.confirming import Confirming, confirm
from fvsearch.data import check_source, prepare_source
from fvsearch.engines import Done, Failed, check_engine, make_engine
from fvsearch.errors import ConfigError
from fvsearch.feasibility import Predictor, feasible_note, require_feasible
from fvsearch.files import locked_folder
from fvsearch.importing import Imported, import_trials, open_source, starts_note, warm_starts
from fvsearch.ledger import STUDY_FILE, Invocation, Ledger, TrialRecord, now
from fvsearch.pools import Pool
from fvsearch.quiet import measure_front, take_anchor
from fvsearch.screening import Candidate, Screen
from fvsearch.space import Params
from fvsearch.standing import front, standings
from fvsearch.study import Study
from fvsearch.training.environment import set_environment
from fvsearch.training.segment import Segment, SegmentResult, import_work, run_segment
from fvsearch.trials import asked_again, failed, new_trial, next_segment, on_backend, with_result
from fvsearch.underway import time_left
from fvsearch.volume import hypervolume, reference
from fvsearch.watching import DONE, Progress, Watcher, kept
from fvsearch.workers import Jobs, RunSettings, as_sentence, open_pool


def run_study(study: Study, folder: Path, settings: RunSettings, watcher: Watcher = lambda progress: None) -> Ledger:
    """Search until the study has its trials, or nothing is left to try, or the time is up; then measure the front alone.

    Interrupted at any point, the same call goes on from there.

    Args:
        study: What to search.
        folder: Of the study; made if need be.
        settings: How.
        watcher: Told of progress.

    Raises:
        ConfigError: The study cannot run: no such data or none that fits, nothing within budget, a folder that holds another study or
            cannot be written, a calibration that does not fit.
        LockedError: Another process works on the folder.
        RunError: The baseline cannot be trained or measured on this device.
    """
    check_source(study.data)
    check_engine(study)
    check_wanted(settings.calibration, study, settings.backend)
    require_feasible(study, _least_predictor(study))
    # On a resume the other study's folder may be gone.
    if not (folder / STUDY_FILE).exists() and (other := open_source(study, folder)):
        other.close()
    prepare_source(study.data, lambda activity: watcher(Progress(activity=activity, done=0, total=study.trials)))
    with locked_folder(folder, patience=0.0):
        ledger = Ledger.create(folder, study)
        if not settings.force_backend:
            _require_backend(ledger, settings.backend)
        _Search(ledger, settings, kept(folder, watcher)).run()
    return ledger


def _least_predictor(study: Study) -> Predictor:
    """Before anything is measured: an absolute memory budget is compared with what no device can save, the weights."""
    memory = study.budget.limits().get("memory")
    return Predictor.unmeasured(study) if memory is None or memory.relative else Predictor.unmeasured(study, memory={"weights": 1.0})


def _require_backend(ledger: Ledger, backend: str) -> None:
    # A start that could not even measure the baseline left no numbers.
    before = {invocation.backend for invocation in ledger.invocations()} if ledger.anchor() else set()
    if before and before != {backend}:
        raise ConfigError(
            f"{ledger.folder} was searched on {', '.join(sorted(before))}, and numbers of {backend} do not compare with it; "
            f"give --backend {min(before)}, or another folder with --out, or --force-backend to have both in one study"
        )


_Segments = Jobs[TrialRecord, Segment, SegmentResult]


class _Search:
    """One start of a study: its loop and what the loop holds."""

    def __init__(self, ledger: Ledger, settings: RunSettings, watcher: Watcher) -> None:
        self.ledger, self.study = ledger, ledger.study
        self.settings, self.watcher = settings, watcher
        self.trials: dict[int, TrialRecord] = {}
        self.running: tuple[TrialRecord, ...] = ()
        self.exhausted = False
        self.screen: Screen | None = None
        self.predictions = Predictions()
        self.reference = reference(self.study)
        self.progress = Progress(activity="", done=0, total=self.study.trials)
        self.started = time.monotonic()
        self.before = ledger.invocations()
        self.invocation = Invocation(
            command=settings.command, started=now(), backend=settings.backend, workers=settings.workers, version=__version__
        )

    def run(self) -> None:
        """From wherever the ledger stands to the end."""
        self._bill()
        self.ledger.settle()
        self.trials = {record.number: record for record in self.ledger.trials()}
        backend = self.settings.backend
        anchor = self.ledger.anchor()
        # One of another backend says nothing of this one's memory; one without a name is of the study's only backend.
        if anchor is None or anchor.backend not in ("", backend):
            anchor = take_anchor(self.ledger, self.settings, self._tell_progress)
        self.anchor = anchor
        self.predictions = settle_predictions(
            self.ledger, self.settings.calibration, backend, self.anchor, here=self.settings.pool != "ray"
        )
        self.predictor = Predictor.anchored(
            self.study, self.anchor.memory, self.anchor.throughput, backend=backend, calibration=self.predictions.calibration
        )
        require_feasible(self.study, self.predictor)
        self.baseline = Candidate(params=self._baseline_params(), arch=self.study.baseline, predicted=self.predictor.baseline)
        self.taken = self._take_over()
        self.screen = self._make_screen()
        self.progress = msgspec.structs.replace(self.progress, feasible=self._say_feasible(self.screen))
        if self._unfinished() or self._may_start():
            with open_pool(self.settings, self.ledger.folder, self.study.resources) as pool:
                self._search(pool, self.screen)
        measure_front(self.ledger, self.settings, tuple(self.trials.values()), self._tell_progress)
        self._confirm()
        self._bill()
        self._tell_progress(DONE)

    def _baseline_params(self) -> Params:
        space, baseline = self.study.space, self.study.baseline
        return space.params(baseline) if space and space.contains(baseline) else {}

    def _take_over(self) -> Imported | None:
        """What fits of the study that the warm start names, its numbers after the baseline's; none where it names none."""
        if not isinstance(self.study.engine.warm_start, str):
            return None
        if not self.trials:
            self.ledger.start(new_trial(self.study, self.baseline, self.settings.backend))
        taken = import_trials(self.ledger, self.settings.backend, self.anchor, self.predictor)
        self.trials = {record.number: record for record in self.ledger.trials()}
        return taken

    def _say_feasible(self, screen: Screen) -> str:
        """What there is to search, and what the search begins with."""
        parts = (
            feasible_note(self.study, self.predictor),
            self.taken.sentence if self.taken else "",
            starts_note(self.study, screen.skipped),
        )
        return "; ".join(filter(None, parts))

    def _make_screen(self) -> Screen:
        """A screen before an engine that knows the ledger."""
        study = self.study
        if (study.engine.name, self.settings.pool) == ("keras_tuner", "inline"):
            # KerasTuner imports keras, in the process that is to train: so the training's way, with its backend and device.
            with open_pool(self.settings, self.ledger.folder, self.study.resources):
                set_environment()
                import_work()
        screen = Screen(study, make_engine(study), self.predictor, warm_starts(study, self.taken))
        for record in sorted(self.trials.values(), key=lambda record: record.ended):
            if record.state == "running":
                screen.dispatch(record.arch)
            else:
                screen.tell(record.params, record.arch, record.outcome(study))
        return screen

    def _search(self, pool: Pool, screen: Screen) -> None:
        """Keep the workers busy until the trials asked for have ended; unfinished ones of an earlier start come first."""
        jobs: _Segments = Jobs(pool, run_segment)
        waiting = self._unfinished()
        while waiting or jobs.owners or self._may_start():
            while jobs.has_room and (waiting or self._may_start()):
                record = waiting.pop(0) if waiting else self._next_trial(screen)
                if record is None:
                    break
                self._submit(jobs, record)
            if not jobs.owners:
                break
            self._tell_progress("searching")
            for record, outcome in jobs.ended():
                self._receive(jobs, screen, record, outcome)

    def _unfinished(self) -> list[TrialRecord]:
        return [on_backend(record, self.settings.backend) for record in self.trials.values() if record.state == "running"]

    def _may_start(self) -> bool:
        # An engine that paused trials may ask for more of them when no new one may start.
        full = self._is_full() and all(record.state != "paused" for record in self.trials.values())
        if self.exhausted or full:
            return False
        budget = self.settings.time_budget
        return budget is None or time.monotonic() - self.started < budget

    def _is_full(self) -> bool:
        """Whether as many trials have started as were asked for; those of another study are extra."""
        return sum(not record.imported for record in self.trials.values()) >= self.study.trials

    def _next_trial(self, screen: Screen) -> TrialRecord | None:
        """Enter the next arch in the ledger, the baseline first, or a paused one again; none while the engine waits or when it is done."""
        candidate = screen.next() if self.trials else self.baseline
        if not isinstance(candidate, Candidate):
            self.exhausted = isinstance(candidate, Done)
            return None
        paused = next((record for record in self.trials.values() if record.arch_hash == candidate.arch.arch_hash), None)
        if paused is not None:
            record = asked_again(on_backend(paused, self.settings.backend), candidate.epochs)
            self.ledger.update(record)
        elif self._is_full():
            # Told as failed, so that the engine does not wait for it.
            screen.tell(candidate.params, candidate.arch, Failed(reason="no trial was left for it"))
            self.exhausted = True
            return None
        else:
            record = self.ledger.start(new_trial(self.study, candidate, self.settings.backend))
        self.trials[record.number] = record
        screen.dispatch(record.arch)
        return record

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
            record = with_result(self.study, record, outcome, self.anchor, self.predictor, self.trials.values())
        self.trials[record.number] = record
        if record.state == "running":
            # What was decided at a rung stands, also after a kill.
            self.ledger.update(record)
            self._submit(jobs, record)
            return
        (self.ledger.update if record.state == "paused" else self.ledger.finish)(record)
        screen.tell(record.params, record.arch, record.outcome(self.study))
        # An engine that had no more to propose may have, now that it knows this.
        self.exhausted = False
        self._bill()
        self._tell_progress("searching", ended=record)

    def _confirm(self) -> None:
        """Train again, with fresh seeds, what the study says is to be confirmed."""
        asked = self.study.confirm
        if asked is None or not any(record.state == "completed" for record in self.trials.values()):
            return

        def tell(confirming: Confirming) -> None:
            self._tell_progress(confirming.activity)

        confirm(self.ledger, self.settings, asked.seeds, asked.archs, asked.train_shares, tell)

    def _bill(self) -> None:
        """Keep the wall time of this start in the ledger, so that a kill loses no more than the running trials' share."""
        self.invocation = msgspec.structs.replace(self.invocation, seconds=time.monotonic() - self.started)
        self.ledger.set_invocations((*self.before, self.invocation))

    def _tell_progress(self, activity: str, ended: TrialRecord | None = None) -> None:
        """Tell the watcher; what takes a look at every trial is counted anew only where a trial has ended or another activity begins."""
        if ended or activity != self.progress.activity:
            self.progress = msgspec.structs.replace(self._count(), activity=activity, predictions=self.predictions.note)
        refused = self.screen.refused if self.screen else 0
        self.watcher(msgspec.structs.replace(self.progress, running=self.running, refused=refused, ended=ended))

    def _count(self) -> Progress:
        records = tuple(self.trials.values())
        found = standings(self.study, records, None, self.ledger.quiet_pass())
        limit = self.settings.time_budget
        until = None if limit is None else max(0.0, self.started + limit - time.monotonic())
        return msgspec.structs.replace(
            self.progress,
            done=sum(record.state != "running" and not record.imported for record in records),
            stopped=sum(standing.place == "stopped" for standing in found),
            on_front=len(front(found)),
            hypervolume=hypervolume(self.study, found, self.reference).value,
            seconds_left=time_left(self.study, self.ledger.folder, records, self.settings.workers, until),
        )
