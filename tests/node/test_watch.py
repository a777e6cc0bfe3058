"""A watched folder: each scan that is put there is predicted once, and ends as one result or one clear failure."""

import json
import shutil
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom")
from pydicom.uid import generate_uid

from adn.errors import InputError
from adn.io import write_volume
from adn.node.results_folder import FAILED, ResultsFolder
from adn.node.service import Node, Retention
from adn.node.watch import LEDGER, Watch
from node import stub_node
from node.strangers import FAST, LIMITS, Archive, until
from phantoms import head, write_dicom_series


@contextmanager
def watching(folder, out, *peers):
    work = out / ".adn"
    node = Node(
        work, peers=peers, limits=LIMITS, keep=Retention(cases=timedelta(0)), predict=stub_node.predict,
        sending=FAST, pauses_s=(0.2,),
    )  # fmt: skip
    watch = Watch(folder, out, node.intake, work, settle_s=0.3)
    node.outbox.peers.append(ResultsFolder(out, watch.named))
    node.also(watch.look)
    node.start()
    try:
        yield node
    finally:
        node.close()


def small(slices=6):
    return head((slices, 16, 16), (5.0, 12.0, 12.0))


def images_of(folder):
    return json.loads((folder / "result.json").read_text())["images"]


def idle(node, out):
    until(lambda: not node.cases.records() and not node.intake.waiting())
    return sorted(path.name for path in out.iterdir() if path.name != ".adn")


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in", tmp_path / "out"


def test_files_and_studies_are_predicted_once_each_under_its_own_name(folders):
    scans, out = folders
    write_volume(small(), scans / "one.nii.gz")
    (scans / "later").mkdir()
    write_volume(small(), scans / "later" / "one.nii.gz")
    (scans / "notes.txt").write_text("no scan")
    write_dicom_series(small(), scans / "study")
    with watching(scans, out) as node:
        until(lambda: (out / "study").exists() and (out / "one").exists() and (out / "one_2").exists())
        assert idle(node, out) == ["one", "one_2", "study"]
    assert images_of(out / "study") == 6
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    with watching(scans, out) as node:  # a second start does nothing again
        write_volume(small(), scans / "two.nii")
        until(lambda: (out / "two").exists())
        assert idle(node, out) == ["one", "one_2", "study", "two"]
    assert all((out / name).stat().st_mtime_ns == time for name, time in times.items() if name != ".adn")


def test_a_study_that_grows_after_its_results_is_processed_again_as_a_whole(folders):
    scans, out = folders
    write_dicom_series(small(8), scans / "study")
    aside = [Path(shutil.move(path, scans.parent / path.name)) for path in sorted((scans / "study").iterdir())[5:]]
    with watching(scans, out) as node:
        until(lambda: (out / "study").exists())
        assert idle(node, out) == ["study"]
        assert images_of(out / "study") == 5
        for path in aside:
            shutil.move(path, scans / "study" / path.name)
        until(lambda: images_of(out / "study") == 8)
        assert idle(node, out) == ["study"]


def test_a_failure_is_reported_beside_the_results_until_it_is_fixed(folders):
    scans, out = folders
    uid = generate_uid()
    write_dicom_series(small(), scans / "study", tags={"StudyInstanceUID": uid, "SeriesDescription": "bad"})
    with watching(scans, out) as node:
        told = out / f"study{FAILED}"
        until(told.exists)
        assert "not a head CT" in told.read_text()
        assert idle(node, out) == [told.name]
        shutil.rmtree(scans / "study")
        write_dicom_series(small(), scans / "study", tags={"StudyInstanceUID": uid})
        until((out / "study").exists)
        until(lambda: not told.exists())


def test_results_of_dicom_studies_are_sent_to_a_peer_too(folders):
    scans, out = folders
    archive = Archive().start()
    write_dicom_series(small(), scans / "study")
    write_volume(small(), scans / "one.nii.gz")
    try:
        with watching(scans, out, archive.peer) as node:
            until(lambda: (out / "study").exists() and (out / "one").exists())
            idle(node, out)
    finally:
        archive.stop()
    assert len(archive.kept) == 3


def test_results_inside_the_watched_folder_are_refused(folders):
    scans, _ = folders
    with pytest.raises(InputError, match="taken for scans"), watching(scans, scans / "out"):
        pass


def test_a_kill_during_a_long_scan_of_the_folder_loses_little_progress(folders, tmp_path, monkeypatch):
    scans, out = folders
    for name in ("a", "b"):
        write_volume(small(), scans / f"{name}.nii")
    node = Node(tmp_path / "node", limits=LIMITS, predict=stub_node.predict)
    look = Watch(scans, out, node.intake, tmp_path, settle_s=0)
    look.look()  # both are seen
    look._next = 0.0
    taken = []

    def killed(path, key):
        if taken:
            raise KeyboardInterrupt
        taken.append(key)

    monkeypatch.setattr("adn.node.watch._UNWRITTEN_S", 0.0)
    monkeypatch.setattr(node.intake, "take_file", killed)
    with pytest.raises(KeyboardInterrupt):
        look.look()
    assert list(json.loads((tmp_path / LEDGER).read_text())["files"]) == taken
    node.close()
