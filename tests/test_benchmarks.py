"""The harness of the benchmarks: what is counted, what is compared, what is missed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import harness, peers, server
from benchmarks.children import child
from benchmarks.harness import Bound, Question, report

ROOT = Path(__file__).parent.parent


def figures(*values: float) -> Iterator[float]:
    yield from values


def asked(rounds: int = 3, *, warm_up: bool = True, **sides: Iterator[float]) -> Question:
    """A question whose sides give these figures, round after round."""

    def side(values: Iterator[float]) -> harness.Side:
        async def measure(_: Path) -> float:
            return next(values)

        return measure

    measures = {name: side(values) for name, values in sides.items()}
    about = {"server": "18"}
    return Question("name", "How many?", "a second", measures, rounds, warm_up, about)


async def test_the_first_round_warms_up_and_is_not_counted():
    question = asked(2, one=figures(9, 1, 2))
    await question.run()
    assert question.samples == {"one": [1, 2]}


async def test_without_a_warm_up_every_round_counts():
    question = asked(1, warm_up=False, one=figures(9))
    await question.run()
    assert question.samples == {"one": [9]}


async def test_a_ratio_compares_the_sides_of_one_round():
    question = asked(3, one=figures(0, 10, 200, 30), two=figures(0, 5, 100, 10))
    await question.run()
    assert question.ratio("one", "two") == 2


async def test_a_missed_bound_is_said_and_written_with_all_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    question = asked(1, one=figures(0, 3))
    await question.run()
    assert not report(question, [Bound("one", 3, 4), Bound("one", 3, 4, at_least=False)])
    said = capsys.readouterr().out
    assert "MISSED  one: 3.00 (target ≥ 4)" in said
    assert "met     one: 3.00 (target ≤ 4)" in said
    written = json.loads((tmp_path / "name.json").read_text())
    assert written["samples"] == {"one": [3]}
    assert written["environment"]["server"] == "18"


async def test_a_child_hears_and_answers_and_ends_with_its_input():
    echo = "import sys; print('ready', flush=True); print(sys.stdin.readline() * 2, flush=True)"
    async with child(sys.executable, "-c", echo) as one:
        one.say("go")
        assert await one.hear() == "go"


async def test_a_child_that_falls_over_is_not_waited_for():
    with pytest.raises(RuntimeError, match="it ended with 3"):
        async with child(sys.executable, "-c", "raise SystemExit(3)"):
            pass


def test_a_peer_that_is_not_installed_says_so(tmp_path: Path):
    peer = peers.Peer("Peer", "1.0", Path(sys.executable), "peer.py", tmp_path / "installed")
    assert (
        peer.missing == "Peer was not measured: `make peers` could not install it, or was not run"
    )


def test_what_is_installed_is_the_release_that_is_named():
    folder = ROOT / "benchmarks" / "peers"
    wanted = f"eventsourcing[postgres]=={peers.EVENTSOURCING.release}"
    assert wanted in (folder / "requirements.txt").read_text().splitlines()
    packages = json.loads((folder / "package.json").read_text())["dependencies"]
    assert packages["@event-driven-io/emmett-postgresql"] == peers.EMMETT.release


def test_a_server_in_memory_is_refused_because_nothing_is_durable_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\ntmpfs {tmp_path} tmpfs rw 0 0\n")
    monkeypatch.setattr(server, "_MOUNTS", mounts)
    assert server.filesystem_of(Path("/")) == "ext4"
    with pytest.raises(RuntimeError, match="nothing is durable there"):
        server.Server(tmp_path)
