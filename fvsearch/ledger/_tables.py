"""Our tables, beside Optuna's in one database: whole records of trials, and who works on them.

Every change of a study's trials takes the next revision of the study, and with it the study's row until it is committed: so changes come
one after the other, and a reader who has seen a revision has seen all before it.
"""

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
OPTUNA_TRIALS = sa.table("trials", sa.column("trial_id"), sa.column("study_id"), sa.column("number"))
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


def next_revision(connection: sa.Connection, study_id: int) -> int:
    """The number of the change that begins; until it is committed no other change of the study begins."""
    mine = STUDIES.c.study_id == study_id
    connection.execute(sa.update(STUDIES).where(mine).values(revision=STUDIES.c.revision + 1))
    return int(connection.execute(sa.select(STUDIES.c.revision).where(mine)).scalar_one())


def forget(connection: sa.Connection, study_id: int) -> None:
    """Remove all that is ours of a study."""
    for table in (TRIALS, COORDINATORS, STUDIES):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def insert_rows(connection: sa.Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    """Enter rows in one piece; none is none."""
    if rows:
        connection.execute(sa.insert(table), rows)
