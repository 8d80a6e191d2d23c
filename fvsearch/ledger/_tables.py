"""Our tables, beside Optuna's in one database: whole records of trials, and who works on them.

Every change of a study's trials takes the next revision of the study, and with it the study's row until it is committed: so changes come
one after the other, and a reader who has seen a revision has seen all before it.
"""

import functools
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

METADATA = sa.MetaData()

_LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")

STUDIES = sa.Table(
    "fvsearch_studies",
    METADATA,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("study_key", sa.String(32), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
)
"""A row a study: what tells it from another that had its name or number before, and how many changes its trials have seen."""

TRIALS = sa.Table(
    "fvsearch_trials",
    METADATA,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("trial_id", sa.Integer, nullable=False),
    sa.Column("arch_hash", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("imported", sa.Boolean, nullable=False),
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("record", _LONG, nullable=False),
    sa.UniqueConstraint("study_id", "arch_hash"),
    sa.Index("fvsearch_trials_revision", "study_id", "revision"),
)
"""A row a trial: `owner` is the coordinator that entered it last, `record` the TrialRecord as JSON, `trial_id` Optuna's."""

COORDINATORS = sa.Table(
    "fvsearch_coordinators",
    METADATA,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("beat", sa.Integer, nullable=False),
    sa.Column("left", sa.Boolean, nullable=False),
    sa.Column("task", sa.String(64)),
    sa.Column("record", _LONG, nullable=False),
)
"""A row for each coordinator that joined: a count that rises while it lives, and what it does that one alone may do at a time."""

# Of Optuna's tables, what is asked for or entered in one piece; through its storage it is a question for every row.
OPTUNA_STUDIES = sa.table("studies", sa.column("study_id"))
OPTUNA_TRIALS = sa.Table(
    "trials",
    sa.MetaData(),
    sa.Column("trial_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer),
    sa.Column("number", sa.Integer),
    sa.Column("state", sa.Enum("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING", name="trialstate")),
    sa.Column("datetime_start", sa.DateTime),
    sa.Column("datetime_complete", sa.DateTime),
)
OPTUNA_PARAMS = sa.table(
    "trial_params", sa.column("trial_id"), sa.column("param_name"), sa.column("param_value"), sa.column("distribution_json")
)
OPTUNA_ATTRIBUTES, OPTUNA_SYSTEM_ATTRIBUTES = (
    sa.table(name, sa.column("trial_id"), sa.column("key"), sa.column("value_json"))
    for name in ("trial_user_attributes", "trial_system_attributes")
)
OPTUNA_VALUES = sa.table(
    "trial_values",
    sa.column("trial_id"),
    sa.column("objective"),
    sa.column("value"),
    sa.column("value_type", sa.Enum("FINITE", "INF_POS", "INF_NEG", name="trialvaluetype")),
)


_MINE = STUDIES.c.study_id == sa.bindparam("of_study")
_NEXT_REVISION = sa.update(STUDIES).where(_MINE).values(revision=STUDIES.c.revision + 1)
_NEXT_REVISION_TOLD = _NEXT_REVISION.returning(STUDIES.c.revision)
_REVISION = sa.select(STUDIES.c.revision).where(_MINE)


def next_revision(connection: sa.Connection, study_id: int) -> int:
    """The number of the change that begins; until it is committed no other change of the study begins."""
    mine = {"of_study": study_id}
    if connection.dialect.update_returning:
        return int(connection.execute(_NEXT_REVISION_TOLD, mine).scalar_one())
    connection.execute(_NEXT_REVISION, mine)
    return int(connection.execute(_REVISION, mine).scalar_one())


def forget(connection: sa.Connection, study_id: int) -> None:
    """Remove all that is ours of a study."""
    for table in (TRIALS, COORDINATORS, STUDIES):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def insert_rows(connection: sa.Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    """Enter rows in one piece; none is none."""
    if rows:
        connection.execute(_insert(table), rows)


@functools.cache
def _insert(table: Any) -> sa.Insert:
    """One for each table: SQLAlchemy compiles what it has seen no more."""
    return sa.insert(table)
