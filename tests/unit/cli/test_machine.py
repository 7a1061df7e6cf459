"""What of a machine can harm a file is seen."""

from pathlib import Path

import pytest

from diptych.cli import machine
from diptych.cli.machine import file_system_of, troubles_with

MOUNTS = (
    "/dev/sda / ext4 rw 0 0\n"
    "server:/export /mnt/share nfs4 rw 0 0\n"
    "/dev/sdb /mnt/share/local xfs rw 0 0\n"
    "tmpfs /with\\040blank tmpfs rw 0 0\n"
)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/ann", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deeper/still", "nfs4"),
        ("/mnt/share/local/data", "xfs"),
        ("/mnt/sharedata", "ext4"),
        ("/with blank/x", "tmpfs"),
    ],
)
def test_the_nearest_mount_counts(folder: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(MOUNTS)
    assert file_system_of(Path(folder), tmp_path / "mounts") == kind


def test_where_there_is_no_list_of_mounts_nothing_is_said(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, tmp_path / "none") == ""


def test_troubles_are_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "log.db"
    file.touch(0o600)
    assert list(troubles_with(file)) == []
    file.chmod(0o604)
    monkeypatch.setattr(machine, "file_system_of", lambda _: "nfs")
    monkeypatch.setattr(machine, "_LITTLE", 10**18)
    said = [says for says, _ in troubles_with(file)]
    assert f"{file} is on a network file system (nfs)" in said[0]
    assert f"GB are free on the disk of {file}" in said[1]
    assert f"everybody on this machine may read {file}" in said[2]
