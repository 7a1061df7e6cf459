"""A projection's tables in its fingerprint: what the database is told, and nothing else."""

from typing import Any

import sqlalchemy as sa

from diptych.read.model import table_content
from diptych.rules.fingerprint import fingerprint


def table(*extra: Any, default: Any = None) -> sa.Table:
    return sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("a", sa.Integer, primary_key=True),
        sa.Column("b", sa.Text, default=default),
        *extra,
    )


def of(declared: sa.Table) -> str:
    return fingerprint(declared, kinds={sa.Table: table_content})


def test_equal_tables_have_equal_fingerprints() -> None:
    assert of(table()) == of(table())


def test_a_column_an_index_a_constraint_and_a_default_count() -> None:
    changed = [
        table(),
        table(sa.Column("c", sa.Integer)),
        table(sa.Index("t_b", "b")),
        table(sa.UniqueConstraint("b")),
        table(default="x"),
    ]
    assert len({of(each) for each in changed}) == len(changed)
