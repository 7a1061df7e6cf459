"""The suite that every store passes.

A store's test file is a class, a fixture and nothing else:

    class TestSqliteEventStore(EventStoreConformance, DurableConformance, SharedConformance):
        @pytest.fixture
        def new_store(self, tmp_path: Path) -> NewStore:
            return lambda: SqliteEventStore(tmp_path / "log.db")

`EventStoreConformance` is for every store. `DurableConformance` is for those where `new_store`
opens the same log again, `SharedConformance` for those whose log may be open several times at
once. `CursorConformance` and `SharedCursorConformance` are for those that keep cursors.
The suite needs pytest-asyncio.
"""

from diptych.testing.conformance.append import AppendConformance
from diptych.testing.conformance.bursts import BurstConformance
from diptych.testing.conformance.closing import ClosingConformance
from diptych.testing.conformance.commands import CommandConformance
from diptych.testing.conformance.conditions import ConditionConformance
from diptych.testing.conformance.cursors import HoldingConformance, StoppingConformance
from diptych.testing.conformance.durability import DurableConformance
from diptych.testing.conformance.fidelity import FidelityConformance
from diptych.testing.conformance.follow import FollowConformance
from diptych.testing.conformance.limits import LimitConformance
from diptych.testing.conformance.load import LoadConformance
from diptych.testing.conformance.parking import ParkingConformance
from diptych.testing.conformance.races import RaceConformance
from diptych.testing.conformance.read import ReadConformance
from diptych.testing.conformance.shared_cursors import SharedCursorConformance
from diptych.testing.conformance.sharing import SharedConformance
from diptych.testing.conformance.snapshots import SnapshotConformance
from diptych.testing.conformance.steps import NewStore
from diptych.testing.conformance.tenants import TenantConformance

__all__ = [
    "CursorConformance",
    "DurableConformance",
    "EventStoreConformance",
    "NewStore",
    "SharedConformance",
    "SharedCursorConformance",
]


class EventStoreConformance(
    AppendConformance,
    CommandConformance,
    ConditionConformance,
    LoadConformance,
    ReadConformance,
    FidelityConformance,
    TenantConformance,
    LimitConformance,
    BurstConformance,
    RaceConformance,
    FollowConformance,
    SnapshotConformance,
    ClosingConformance,
):
    """Every clause of the contract, as a test with a sentence for its name."""


class CursorConformance(HoldingConformance, StoppingConformance, ParkingConformance):
    """Every clause of the contract of cursors."""
