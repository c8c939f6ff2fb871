"""The folder of a backup: hashes, what is secret, half backups, and the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jobs.backup.manifest import NAME, BackupError, mistakes, read
from jobs.backup.points import part
from jobs.backup.restore import Restore
from jobs.backup.run import PARTS, Places, back_up
from jobs.cli import backup as commands

LAKE_YAML = """\
catalog_uri: postgresql://db/lake   # where
catalog_properties:
  user: writer
  password: hunter2
"""
EDGE_YAML = "mqtt: {host: a, password: hunter3}\nlist: [{api_token: hunter4, token_env: NAME}]\n"

app = typer.Typer()
app.command()(commands.backup)
app.command()(commands.restore)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    folder = tmp_path / "flink-conf"
    (folder / "jobs").mkdir(parents=True)
    (folder / "rules").mkdir()
    (folder / "jobs" / "lake.yaml").write_text(LAKE_YAML)
    (folder / "edge.yaml").write_text(EDGE_YAML)
    (folder / "rules" / "pump.yaml").write_text("# kept as it is\nrules: []\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path, conf: Path) -> Path:
    back_up(tmp_path / "backup", Places(conf=conf), ["conf"])
    return tmp_path / "backup"


def test_the_manifest_says_what_is_in_it_and_what_is_not(folder: Path) -> None:
    manifest = read(folder)
    assert manifest.counts == {"conf": {"files": 3}}
    assert [file.path for file in manifest.files] == [
        "conf/edge.yaml", "conf/jobs/lake.yaml", "conf/rules/pump.yaml",
    ]  # fmt: skip
    assert [line for line in manifest.left_out if line.startswith("flink-conf")] == [
        "flink-conf/edge.yaml: mqtt.password: set it anew",
        "flink-conf/edge.yaml: list.0.api_token: set it anew",
        "flink-conf/jobs/lake.yaml: catalog_properties: set it anew",
    ]
    assert "part lake: not wanted" in manifest.left_out
    assert list(mistakes(folder, manifest)) == []


def test_no_secret_is_in_it_and_all_else_is(folder: Path) -> None:
    texts = {p.name: p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert not [name for name, text in texts.items() if "hunter" in text]
    assert texts["pump.yaml"] == "# kept as it is\nrules: []\n"
    assert texts["lake.yaml"] == "catalog_uri: postgresql://db/lake\n"
    assert "token_env: NAME" in texts["edge.yaml"]


def test_every_file_that_is_not_as_it_was_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "conf" / "edge.yaml").unlink()
    (folder / "conf" / "jobs" / "lake.yaml").write_text("short")
    place = folder / "conf" / "rules" / "pump.yaml"
    place.write_bytes(bytes([place.read_bytes()[0] ^ 1]) + place.read_bytes()[1:])
    (folder / "conf" / "more").write_text("")
    found = [
        "conf/edge.yaml: missing (No such file or directory)",
        "conf/jobs/lake.yaml: damaged: 5 bytes where 34 were written",
        "conf/rules/pump.yaml: damaged: other content than was written",
        "conf/more: not of this backup",
    ]
    assert list(mistakes(folder, read(folder))) == found
    said = CliRunner().invoke(app, ["backup", str(folder), "--verify"])
    assert said.exit_code == 1
    with pytest.raises(BackupError) as error:
        Restore(folder, Places(), ["conf"], conf=tmp_path / "new").plan()
    assert str(error.value).splitlines() == [f"{folder}: {line}" for line in found]
    assert not (tmp_path / "new").exists()


def test_a_whole_backup_is_verified(folder: Path) -> None:
    said = CliRunner().invoke(app, ["backup", str(folder), "--verify"])
    assert said.exit_code == 0
    assert CliRunner().invoke(app, ["backup", str(folder), "--only", "nothing"]).exit_code == 2


def test_a_backup_of_a_newer_version_is_refused(folder: Path) -> None:
    found = json.loads((folder / NAME).read_text()) | {"version": 2, "files": "otherwise"}
    (folder / NAME).write_text(json.dumps(found))
    with pytest.raises(BackupError, match="of version 2, and 1 is the newest that is known here"):
        Restore(folder, Places(), ["conf"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": "x"}'])
def test_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / NAME).write_text(text)
    with pytest.raises(BackupError, match=r"manifest\.json: damaged"):
        read(folder)


def test_a_path_that_leads_out_of_the_backup_is_refused(folder: Path) -> None:
    text = (folder / NAME).read_text()
    (folder / NAME).write_text(text.replace("conf/edge.yaml", "conf/../../edge.yaml"))
    with pytest.raises(BackupError, match="leads out of the backup"):
        read(folder)


def test_a_backup_that_did_not_end_is_none(folder: Path) -> None:
    (folder / NAME).unlink()
    with pytest.raises(BackupError, match=r"no manifest\.json: no backup, or one that did not end"):
        Restore(folder, Places(), ["conf"])


def test_a_folder_that_is_not_empty_is_refused(folder: Path, conf: Path) -> None:
    with pytest.raises(BackupError, match="not empty: give each backup a folder of its own"):
        back_up(folder, Places(conf=conf), ["conf"])


def test_flink_conf_comes_back_into_an_empty_folder(folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with Restore(folder, Places(), ["conf"], conf=new) as work:
        assert work.plan()[0] == f"flink-conf to {new}"
        assert not new.exists()
        work.run(lambda line: None)
    assert (new / "rules" / "pump.yaml").read_text() == "# kept as it is\nrules: []\n"
    with pytest.raises(BackupError, match=f"{new}: not empty"):
        Restore(folder, Places(), ["conf"], conf=new).plan()


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    with pytest.raises(BackupError) as error:
        Restore(folder, Places(), PARTS).plan()
    assert str(error.value).splitlines() == [
        "offsets: mean nothing in new topics: leave out kafka or offsets",
        *(f"{part}: is not in this backup" for part in ("offsets", "kafka", "flink", "lake")),
        "influx: is not in this backup",
    ]


@given(
    bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    size=st.integers(1, 30),
    data=st.data(),
)
def test_a_part_of_a_multipart_answer_is_found_however_it_is_cut(
    bodies: list[bytes], size: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(0, len(bodies) - 1))
    text = b"".join(
        b'%s--edge\r\nContent-Disposition: attachment; name="p%d"\r\n\r\n%s'
        % (b"\r\n" if number else b"", number, body)
        for number, body in enumerate(bodies)
    )
    text += b"\r\n--edge--\r\n"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert part(pieces, b"edge", b"p%d" % wanted) == bodies[wanted]
    with pytest.raises(BackupError, match="no part other"):
        part(pieces, b"edge", b"other")
