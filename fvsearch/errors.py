"""Every error fvsearch raises on purpose.

FvsearchError                    anything below; the command line prints one sentence for it
├── ConfigError (ValueError)     a user's input breaks a law: record, TOML, layout, option     exit 2
│   ├── LayoutError              a layout string that does not read, or does not fit its image
│   ├── EmptySpaceError          no member of a space meets the budget
│   └── MissingBackendError      the wanted backend, or an extra, is not installed
└── RunError (RuntimeError)      the work itself went wrong                                     exit 1
    ├── LockedError              another process owns this folder
    ├── DiskFullError            there is no room to write to; what was there stands
    ├── TrainingError            a training that cannot go on: NaN loss, broken checkpoint
    ├── WorkerDied               a worker process ended before its task did (pools/base.py)
    │   └── NodeLost             for its machine did, or it never began
    └── TimedOut                 a task took longer than its time limit (pools/base.py)

A message says the law, the value, where, and the way out.
"""


class FvsearchError(Exception):
    """Base of every error that fvsearch raises on purpose."""

    exit_code = 1


class ConfigError(FvsearchError, ValueError):
    """A user's input breaks a law."""

    exit_code = 2


class LayoutError(ConfigError):
    """A layout string does not read, or does not fit its image."""


class EmptySpaceError(ConfigError):
    """No member of a space meets the budget."""


class MissingBackendError(ConfigError):
    """The wanted backend, or an optional package, is not installed."""


class RunError(FvsearchError, RuntimeError):
    """The work itself went wrong."""


class LockedError(RunError):
    """Another living process owns this folder."""


class DiskFullError(RunError):
    """There is no room left for a file: nobody's trial is at fault, and none is given up for it."""


class TrainingError(RunError):
    """A training cannot go on."""
