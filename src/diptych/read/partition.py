"""Which partition of a view a row belongs to: the same in every process, on every machine.

The CRC-32 (as in zlib) of the JSON array `[tenant, key, …]`, modulo the number of partitions. The
parts of a key are written as SQLite would keep them, whatever the database is: a UUID as 32
hexadecimal digits, a time as it sorts. A change here would let two processes work on one row.
"""

from collections.abc import Iterable
from zlib import crc32

import msgspec


def partition_of(tenant: str, key: Iterable[object], *, partitions: int) -> int:
    """From 0 to `partitions - 1`, about equally many rows in each."""
    return crc32(msgspec.json.encode([tenant, *key])) % partitions
