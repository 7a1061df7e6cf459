"""Partitions: the same for everybody, for ever, and about equally full."""

from collections import Counter
from uuid import UUID
from zlib import crc32

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from diptych.errors import ConfigurationError
from diptych.read.bound_view import BoundView
from diptych.read.partition import partition_of
from diptych.read.sqlite.database import SqliteReadDatabase
from tests.integration.accounts import Account, account_view


def test_a_partition_is_the_crc_of_tenant_and_key_as_json() -> None:
    """A number that changes here would put rows of a table that exists into other hands."""
    assert partition_of("", ["ann"], partitions=2**32) == crc32(b'["","ann"]')
    assert partition_of("north", ["ann", 7], partitions=2**32) == crc32(b'["north","ann",7]')


def bound(partition: int, partitions: int = 4) -> BoundView[Account]:
    view = account_view(partitions=partitions)
    return view.bind(1, SqliteReadDatabase().dialect, partition=partition)


def test_the_database_makes_no_difference() -> None:
    """Nor does it change anything for whoever moves from one to the other by building anew."""
    view, key = account_view(partitions=4), ("north", UUID(int=7))
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        part = view.bind(1, dialect, partition=partition_of("north", [key[1].hex], partitions=4))
        assert part.is_ours(key)


def test_every_key_is_in_one_partition_and_they_are_about_equally_full() -> None:
    parts = [bound(number) for number in range(4)]
    owners = Counter[int]()
    for number in range(2_000):
        key = ("", UUID(int=number))
        (owner,) = [index for index, part in enumerate(parts) if part.is_ours(key)]
        owners[owner] += 1
    assert min(owners.values()) > 400


def test_tenants_are_spread_too() -> None:
    key = UUID(int=7)
    found = {bound(0).is_ours((f"tenant {number}", key)) for number in range(50)}
    assert found == {True, False}


def test_another_number_of_partitions_is_another_revision() -> None:
    prints = {account_view(partitions=number).fingerprint for number in (1, 2, 4)}
    assert len(prints) == 3
    assert account_view(partitions=1).fingerprint == account_view().fingerprint


@pytest.mark.parametrize("partitions", [0, -1, 65])
def test_a_number_that_cannot_be_is_refused(partitions: int) -> None:
    with pytest.raises(ConfigurationError, match="partitions="):
        account_view(partitions=partitions)
