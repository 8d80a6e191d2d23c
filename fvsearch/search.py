"""run_study: ask, predict, dispatch, tell; then the quiet pass."""

import concurrent.futures
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from fvsearch import __version__
from fvsearch.budgets import allowed, violations
from fvsearch.data import check_source
from fvsearch.engines import Done, Wait, make_engine
from fvsearch.errors import ConfigError, RunError
from fvsearch.feasibility import Predictor, require_feasible
from fvsearch.layout import format_layout
from fvsearch.ledger import Anchor, Interval, Invocation, Ledger, QuietPass, Repeat, TrialRecord, now, own_folder
from fvsearch.meters.throughput import MeasureRequest, measure_anchor, measure_throughputs
from fvsearch.pools import Pool, WorkerDied, make_pool
from fvsearch.records import Record
from fvsearch.screening import Candidate, Screen
from fvsearch.standing import front, standings
from fvsearch.study import LEARNED, Study
from fvsearch.training.segment import Segment, SegmentResult, derive_seed, run_segment

MEASURE_SECONDS = 2.0
"""Time for measuring one arch's throughput, compile excluded."""

MAX_DEATHS = 2
"""A trial whose worker dies this often has failed: it may be what kills them."""

MAX_TASKS = 25
"""Segments a worker process runs before it is renewed: Keras leaks across models."""


class RunSettings(Record, frozen=True, kw_only=True):
    """How a study is run; nothing here changes what it finds with one worker.

    Attributes:
        backend: For KERAS_BACKEND.
        workers: Trainings at a time.
        pool: "local" processes, or "inline" in this one, to debug.
        time_budget: Seconds after which no trial is started; none is no limit.
        command: For the record.
    """

    backend: str
    workers: int = 1
    pool: Literal["local", "inline"] = "local"
    time_budget: float | None = None
    command: str = ""


class Progress(Record, frozen=True, kw_only=True):
    """Where a search is.

    Attributes:
        activity: What is going on, in a few words.
        done: Trials evaluated to an end.
        total: Trials asked for.
        running: Trials being evaluated.
        refused: Suggestions over budget as predicted, since this start.
        on_front: Trials on the front.
        ended: The trial that has just ended, if this is why progress is told.
    """

    activity: str
    done: int
    total: int
    running: tuple[TrialRecord, ...] = ()
    refused: int = 0
    on_front: int = 0
    ended: TrialRecord | None = None


Watcher = Callable[[Progress], None]


def run_study(study: Study, folder: Path, settings: RunSettings, watcher: Watcher = lambda progress: None) -> Ledger:
    """Search until the study has its trials, or nothing is left to try, or the time is up; then measure the front alone.

    Interrupted at any point, the same call goes on from there.

    Args:
        study: What to search.
        folder: Of the study; made if need be.
        settings: How.
        watcher: Told of progress.

    Raises:
        ConfigError: The study cannot run: no such data, nothing within budget, a folder that holds another study or cannot be written.
        LockedError: Another process works on the folder.
        RunError: The baseline cannot be trained or measured on this device.
    """
    check_source(study.data)
    require_feasible(study, _least_predictor(study))
    with own_folder(folder):
        ledger = Ledger.create(folder, study)
        _require_backend(ledger, settings.backend)
        pool = make_pool(
            settings.pool,
            num_workers=settings.workers,
            environment={"KERAS_BACKEND": settings.backend},
            log_path=folder / "workers.log",
            max_tasks=MAX_TASKS,
        )
        try:
            _Search(ledger, settings, pool, watcher).run()
            pool.close()
        except BaseException:
            pool.close(cancel=True)
            raise
    return ledger


def _least_predictor(study: Study) -> Predictor:
    """Before anything is measured: an absolute memory budget is compared with what no device can save, the weights."""
    memory = study.budget.limits().get("memory")
    return Predictor(study) if memory is None or memory.relative else Predictor(study, activation_factor=0.0)


def _require_backend(ledger: Ledger, backend: str) -> None:
    before = {invocation.backend for invocation in ledger.invocations()}
    if before and before != {backend}:
        raise ConfigError(
            f"{ledger.folder} was searched on {', '.join(sorted(before))}, and numbers of {backend} do not compare with it; "
            f"give --backend {min(before)}, or another folder with --out"
        )


class _Search:
    """One start of a study: its loop and what the loop holds."""

    def __init__(self, ledger: Ledger, settings: RunSettings, pool: Pool, watcher: Watcher) -> None:
        self.ledger, self.study = ledger, ledger.study
        self.settings, self.pool, self.watcher = settings, pool, watcher
        self.trials: dict[int, TrialRecord] = {}
        self.jobs: dict[concurrent.futures.Future[SegmentResult], TrialRecord] = {}
        self.deaths: dict[int, int] = {}
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
        self.anchor = self.ledger.anchor() or self._take_anchor()
        self.predictor = Predictor.anchored(self.study, self.anchor.memory, self.anchor.throughput)
        require_feasible(self.study, self.predictor)
        self._make_screen()
        self._search()
        self._quiet_pass()
        self._bill()
        self._tell_progress("done")

    def _take_anchor(self) -> Anchor:
        """Build and measure the baseline alone: errors of model, data and device show here, in seconds."""
        self._tell_progress("measuring the baseline")
        try:
            anchor = self.pool.submit(measure_anchor, self._measure_request([self.study.baseline])).result()
        except Exception as error:
            raise RunError(f"the baseline {self._layout(self.study.baseline)} cannot be measured: {_sentence(error)}") from error
        self.ledger.set_anchor(anchor)
        return anchor

    def _make_screen(self) -> None:
        """An engine that knows the ledger, and a screen before it."""
        study = self.study
        domains = study.space.domains() if study.space else {}
        engine = make_engine(study.engine, domains, [objective.direction for objective in study.objectives], study.seed)
        self.screen = Screen(study, engine, self.predictor)
        for record in self.trials.values():
            if record.state == "running":
                self.screen.dispatch(record.arch)
            else:
                self.screen.tell(record.params, record.arch, record.outcome(study))

    def _search(self) -> None:
        """Keep the workers busy until the trials asked for have ended; unfinished ones of an earlier start come first."""
        waiting = [record for record in self.trials.values() if record.state == "running"]
        while waiting or self.jobs or self._may_start():
            while len(self.jobs) < self.pool.num_workers and (waiting or self._may_start()):
                record = waiting.pop(0) if waiting else self._next_trial()
                if record is None:
                    break
                self._submit(record)
            if not self.jobs:
                break
            self._tell_progress("searching")
            ended, _ = concurrent.futures.wait(self.jobs, timeout=1.0, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                self._receive(future)

    def _may_start(self) -> bool:
        if self.exhausted or len(self.trials) >= self.study.trials:
            return False
        budget = self.settings.time_budget
        return budget is None or time.monotonic() - self.started < budget

    exhausted = ""

    def _next_trial(self) -> TrialRecord | None:
        """Enter the next arch in the ledger; none while the engine waits or when it is done."""
        study = self.study
        if not self.trials:
            params = study.space.params(study.baseline) if study.space and study.space.contains(study.baseline) else {}
            candidate = Candidate(params=params, arch=study.baseline, predicted=self.predictor.costs(study.baseline))
        else:
            answer = self.screen.next()
            if isinstance(answer, Done):
                self.exhausted = answer.reason
                return None
            if isinstance(answer, Wait):
                return None
            candidate = answer
        arch = candidate.arch
        record = self.ledger.start(
            TrialRecord(
                params=candidate.params,
                arch=arch,
                layout=self._layout(arch),
                arch_hash=arch.arch_hash,
                predicted=candidate.predicted,
                backend=self.settings.backend,
                started=now(),
            )
        )
        self.trials[record.number] = record
        self.screen.dispatch(arch)
        return record

    def _submit(self, record: TrialRecord) -> None:
        """Start a trial's next repeat."""
        study, repeat = self.study, len(record.repeats)
        memory = study.budget.limits().get("memory")
        segment = Segment(
            arch=record.arch,
            data=study.data,
            recipe=study.recipe,
            seed=derive_seed(study.seed, record.arch_hash, repeat),
            from_epoch=0,
            to_epoch=study.recipe.epochs,
            folder=str(self.ledger.folder / "trials" / f"{record.number:04d}" / f"repeat{repeat}"),
            max_memory=allowed("memory", memory, {"memory": self.anchor.memory}) if memory else None,
            phase=study.budget.phase,
            cost_batch_size=study.cost_batch_size,
        )
        self.jobs[self.pool.submit(run_segment, segment)] = record

    def _receive(self, future: "concurrent.futures.Future[SegmentResult]") -> None:
        """A repeat has ended: start the trial's next one, or end the trial."""
        record = self.jobs.pop(future)
        try:
            result = future.result()
        except WorkerDied as error:
            self.deaths[record.number] = self.deaths.get(record.number, 0) + 1
            if self.deaths[record.number] < MAX_DEATHS:
                self._submit(record)
            else:
                self._end(msgspec.structs.replace(record, state="failed", reason=f"its worker died {MAX_DEATHS} times: {_sentence(error)}"))
            return
        except Exception as error:
            self._end(msgspec.structs.replace(record, state="failed", reason=_sentence(error)))
            return
        record = self._with_result(record, result)
        self.trials[record.number] = record
        if record.state == "running" and len(record.repeats) < self.study.repeats:
            self._submit(record)
        else:
            self._end(self._evaluated(record) if record.state == "running" else record)

    def _with_result(self, record: TrialRecord, result: SegmentResult) -> TrialRecord:
        """The record with one more repeat, and over budget or failed where that is how it ended."""
        repeat = Repeat(
            seed=derive_seed(self.study.seed, record.arch_hash, len(record.repeats)),
            epochs=tuple(msgspec.to_builtins(epoch) for epoch in result.epochs),
            seconds=result.seconds,
        )
        record = msgspec.structs.replace(
            record,
            repeats=(*record.repeats, repeat),
            measured=result.measured,
            memory_source=result.memory_source,
            device=result.device,
            versions=result.versions,
            reason=result.reason,
        )
        if result.status == "failed":
            return msgspec.structs.replace(record, state="failed")
        if result.status == "over_memory":
            # Where the device ran out, how far over it was is not known: say the whole budget.
            broken = {name: value for name, value in self._constraints(record).items() if value > 0}
            return msgspec.structs.replace(record, state="infeasible", constraints=broken or {"memory": 1.0})
        return record

    def _evaluated(self, record: TrialRecord) -> TrialRecord:
        """The record of a trial whose every repeat is trained: its values are those of the last epoch, means over the repeats."""
        last = [repeat.epochs[-1] for repeat in record.repeats]
        known = record.predicted | record.measured
        values, spread = {}, {}
        for name in (objective.name for objective in self.study.objectives):
            learned = [epoch[name] for epoch in last] if name in LEARNED else [known[name]]
            values[name] = statistics.fmean(learned)
            if len(learned) > 1:
                spread[name] = statistics.stdev(learned)
        return msgspec.structs.replace(record, state="completed", values=values, spread=spread, constraints=self._constraints(record))

    def _constraints(self, record: TrialRecord) -> dict[str, float]:
        """Against the budget: memory as measured, throughput as predicted until the quiet pass."""
        baseline = {"memory": self.anchor.memory, "throughput": self.anchor.throughput}
        known = {"throughput": record.predicted["throughput"]} | record.measured
        return violations(self.study.budget, known, baseline)

    def _end(self, record: TrialRecord) -> None:
        record = msgspec.structs.replace(record, ended=now())
        self.trials[record.number] = record
        self.ledger.finish(record)
        self.screen.tell(record.params, record.arch, record.outcome(self.study))
        self._bill()
        self._tell_progress("searching", ended=record)

    def _quiet_pass(self) -> None:
        """Measure the throughput of baseline and front, with nothing else running, until every front point has been.

        A point that breaks the budget leaves the front, and what it dominated may enter: then again.
        """
        while True:
            quiet = self.ledger.quiet_pass()
            members = front(standings(self.study, tuple(self.trials.values()), self.anchor, quiet))
            missing = [member.trial for member in members if member.number not in quiet.throughput and not member.trial.is_baseline]
            if not missing and (0 in quiet.throughput or not members):
                return
            self._tell_progress(f"measuring {len(missing)} front points and the baseline, alone")
            self._measure(quiet, missing)

    def _measure(self, quiet: QuietPass, missing: list[TrialRecord]) -> None:
        request = self._measure_request([self.study.baseline, *(trial.arch for trial in missing)])
        try:
            measured = self.pool.submit(measure_throughputs, request).result()
        except Exception as error:
            raise RunError(f"the front cannot be measured: {_sentence(error)}; the trials stand, the same command tries again") from error
        baseline, *others = measured.throughput
        # Archs of a later pass were interleaved with another run of the baseline: their ratio to it is what holds.
        first = quiet.throughput.get(0, baseline)
        scale = first.median / baseline.median
        found = {trial.number: _scaled(interval, scale) for trial, interval in zip(missing, others, strict=True)}
        self.ledger.set_quiet_pass(
            QuietPass(throughput={0: first} | quiet.throughput | found, seconds=quiet.seconds + sum(measured.seconds.values()))
        )

    def _measure_request(self, archs: list[object]) -> MeasureRequest:
        study = self.study
        return MeasureRequest(
            archs=tuple(archs),
            data=study.data,
            recipe=study.recipe,
            batch_size=study.cost_batch_size,
            phase=study.budget.phase,
            time_budget=MEASURE_SECONDS * len(archs),
            seed=study.seed,
        )

    def _bill(self) -> None:
        """Keep the wall time of this start in the ledger, so that a kill loses no more than the running trials' share."""
        self.invocation = msgspec.structs.replace(self.invocation, seconds=time.monotonic() - self.started)
        self.ledger.set_invocations((*self.before, self.invocation))

    def _tell_progress(self, activity: str, ended: TrialRecord | None = None) -> None:
        records = tuple(self.trials.values())
        self.watcher(
            Progress(
                activity=activity,
                done=sum(record.state != "running" for record in records),
                total=self.study.trials,
                running=tuple(self.jobs.values()),
                refused=self.screen.refused if hasattr(self, "screen") else 0,
                on_front=len(front(standings(self.study, records, None, QuietPass(throughput={}, seconds=0.0)))),
                ended=ended,
            )
        )

    def _layout(self, arch: object) -> str:
        return format_layout(arch, self.study.data.image_shape[:2])


def _scaled(interval: Interval, scale: float) -> Interval:
    return Interval(median=interval.median * scale, low=interval.low * scale, high=interval.high * scale)


def _sentence(error: BaseException) -> str:
    """An error of a worker as one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RunError | ConfigError) else f"{type(error).__name__}: {text}" if text else type(error).__name__
