"""`adn node`: how its options configure the node, whom it lets in, and what it reports about a folder."""

import json
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest

pytest.importorskip("pynetdicom")
from adn.cli import app
from adn.cli import node as command


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run `adn node FOLDER …` with a node that does nothing; gives exit code, what that was given, stdout, stderr."""
    given = {}

    class Stub:
        def __init__(self, folder, **settings):
            given.update(settings)

        def listen(self, title, host, port, gate):
            given.update(title=title, host=host, gate=gate)
            return SimpleNamespace(port=port, close=lambda: None)

        def start(self, *, jobs):
            pass

        def close(self):
            pass

    monkeypatch.setattr("adn.node.service.Node", Stub)
    monkeypatch.setattr(command, "until_signal", lambda: None)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["adn", "node", str(tmp_path / "node"), *map(str, arguments)])
        return app.main(), given, *capsys.readouterr()

    return run


def test_by_default_only_this_machine_may_connect_and_everything_is_sent(run):
    code, given, _, _ = run("--forward", "PACS@10.1.2.3:104", "--forward", "https://pacs/dicom-web")
    assert code == 0
    assert (given["title"], given["host"], given["gate"].titles, given["gate"].tls) == ("ADN", "127.0.0.1", (), None)
    assert given["sending"].kinds == ("seg", "sr", "pictures")
    assert [peer.name for peer in given["peers"]] == ["PACS@10.1.2.3:104", "https://pacs/dicom-web"]
    assert given["keep"].images == timedelta(0)
    assert given["keep"].cases == timedelta(days=30)


def test_each_kind_can_be_left_out_and_images_kept(run):
    words = ("--no-seg", "--no-pictures", "--keep-images", 7, "--accept", "CT1", "--quiet-s", 5, "--longest-s", 60)
    _, given, _, _ = run(*words)
    assert given["sending"].kinds == ("sr",)
    assert given["keep"].images == timedelta(days=7)
    assert given["gate"].titles == ("CT1",)
    assert (given["limits"].quiet_s, given["limits"].longest_s) == (5, 60)


def test_other_machines_are_admitted_only_by_name(run):
    code, given, _, told = run("--host", "0.0.0.0")
    assert code != 0
    assert not given
    assert "--from" in told
    code, given, _, _ = run("--host", "0.0.0.0", "--from", "10.1.0.0/16")
    assert code == 0
    assert not given["gate"].lets_in("10.2.0.1")


def test_the_status_of_a_folder_is_json_whether_a_node_runs_or_not(run):
    code, _, out, _ = run("--status")
    assert code == 0
    assert json.loads(out) == {
        "studies_with_images": 0, "cases": {}, "deliveries": {}, "not_taken": {}, "look": [],
    }  # fmt: skip
