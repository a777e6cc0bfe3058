"""The server keeps and says nothing that identifies a patient, except the upload itself until it is processed."""

import logging

from phantoms import PATIENT_ID, PATIENT_NAME, head, write_dicom_series
from server.stub_server import upload, wait, zipped

SECRETS = ("zyxwvname", "zyxwvgiven", "doe^jane", "id-4711", "19501224")


def told(data):
    return [secret for secret in SECRETS if secret.encode() in data.lower()]


def test_names_of_uploads_are_neither_stored_nor_logged(client, folder, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    files = write_dicom_series(head((12, 16, 16), (12.0, 12.0, 12.0)), tmp_path)
    slices = [path.read_bytes() for path in files]
    assert PATIENT_NAME.lower() in SECRETS
    assert PATIENT_ID.lower() in SECRETS
    names = [f"Zyxwvname^Zyxwvgiven/19501224/{i}.dcm" for i in range(len(slices))]
    answers = [
        upload(client, *slices, names=names),
        upload(client, zipped(dict(zip(names, slices, strict=True))), names=["Zyxwvname.zip"]),
        upload(client, b"no scan", names=["Zyxwvname.nii"]),
        upload(client, zipped({"../Zyxwvname": b"x"}), names=["Zyxwvname.zip"]),
        client.get("/api/cases/zyxwvname"),
        client.get("/api/zyxwvname?zyxwvname=zyxwvgiven"),
        client.post("/api/cases?dicom_seg=zyxwvname"),
    ]
    for answer in answers[:2]:
        answers.append(client.get(f"/api/cases/{wait(client, answer.json()['id'])['id']}"))
        answers.append(client.get(f"/api/cases/{answer.json()['id']}/files/zyxwvname"))
    assert [answer.status_code for answer in answers] == [201, 201, 415, 415, 422, 404, 422, 200, 404, 200, 404]
    for answer in answers:
        assert told(answer.content) == []
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert len(kept) >= 4
    for path in kept:
        assert told(path.read_bytes()) == [], path
        assert told(str(path.relative_to(folder)).encode()) == []
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    out, err = capfd.readouterr()
    assert told(f"{ours}{out}{err}".encode()) == []
