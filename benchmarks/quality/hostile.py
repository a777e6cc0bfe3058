"""Send hostile requests to `adn serve`: it must read or write no file outside its folder, and keep answering.

    python benchmarks/quality/hostile.py OUT [--count 1000]

A separate server runs on a free port; its worker reads every accepted upload, which is a prediction's first step. Bait
lies outside the server's folder: inotify reports if it is opened, responses are searched for its content, and the disk
for files with the names that uploads ask for. Request i depends only on (seed, i). OUT must not exist.
"""

from __future__ import annotations

import argparse
import ctypes
import gzip
import http.client
import io
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_base import Base, make_base
from numpy.random import Generator

from adn.errors import InputError
from adn.prediction.batch import Networks, Outcome, Request, Task

MARK = "ADNHOSTILE"  # in the name of every file that a request would like to write
WORD = b"BAIT-" + b"0123456789abcdef" * 4  # in every file that a request would like to read
OPENED = 0x20 | 0x1 | 0x2 | 0x4 | 0x100 | 0x200 | 0x40 | 0x80  # open, access, modify, attributes, create, delete, move
SHAPE = (64, 64, 24)


def read_only(task: Task, request: Request, networks: Networks, tell: Callable[[str], object]) -> Outcome:
    """Stands in for a prediction: only its first step, the one that touches the upload."""
    from adn.io import open_scan

    tell("read")
    scan = open_scan(task.scan)
    if WORD[:20] in scan.volume.data.astype("<i2").tobytes():
        raise AssertionError("bait was read")
    raise InputError("read, and no more was asked")


def serve(folder: Path, port: int) -> None:
    """Run the server; called in a separate process."""
    import uvicorn

    from adn.server.app import create_app
    from adn.server.cases import Cases
    from adn.server.jobs import Jobs
    from adn.server.models import Limits

    limits = Limits(upload_mb=64, unpacked_mb=256, files=200, waiting=5000)
    cases = Cases(folder, waiting=limits.waiting)
    app = create_app(cases, Jobs(cases, predict=read_only), limits=limits)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False)


class Watch:
    """inotify on folders: what was opened, read, changed or made there."""

    def __init__(self, *folders: Path) -> None:
        self.libc = ctypes.CDLL("libc.so.6", use_errno=True)
        self.handle = self.libc.inotify_init1(os.O_NONBLOCK)
        for folder in folders:
            assert self.libc.inotify_add_watch(self.handle, os.fsencode(folder), OPENED) >= 0

    def seen(self) -> list[str]:
        """Names of the files since the last look."""
        names = []
        try:
            while content := os.read(self.handle, 2**16):
                while content:
                    _, _, _, length = struct.unpack_from("iIII", content)
                    names.append(content[16 : 16 + length].rstrip(b"\0").decode(errors="replace") or ".")
                    content = content[16 + length :]
        except BlockingIOError:
            pass
        return names


class Requests:
    """Makes request i: method, target, headers, body."""

    def __init__(self, base: Base, bait: Path) -> None:
        self.base, self.bait = base, bait
        self.voxels = np.asarray(base.volume.reoriented("LPS").data, "<i2").tobytes(order="F")

    def make(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        kinds = (
            self._path,
            self._path,
            self._zip_out,
            self._zip_link,
            self._pointing,
            self._pointing,
            self._absurd,
            self._bomb,
            self._form,
            self._method,
        )
        return kinds[int(random.integers(len(kinds)))](random)

    def _target(self, random: Generator) -> str:
        """The bait, however it may be spelt."""
        up = "../" * int(random.integers(1, 9))
        names = (
            str(self.bait / "secret.raw"),
            f"{up}bait/secret.raw",
            f"{up}..{self.bait}/secret.raw",
            "/etc/passwd",
            str(self.bait / "scan.nii"),
            f"file://{self.bait}/secret.raw",
            str(self.bait / "series" / "1.dcm"),
        )
        return names[int(random.integers(len(names)))]

    def _path(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        target = self._target(random)
        spelt = (
            target,
            target.replace("/", "%2f"),
            target.replace("..", "%2e%2e"),
            target.replace("/", "\\"),
            target.replace("/", "%5c"),
            target.replace("..", "....//"),
            target + "%00.png",
            target.replace("..", "%252e%252e"),
        )
        name = spelt[int(random.integers(len(spelt)))]
        case = "0123456789abcdef"
        prefix = (
            "/",
            "/static/",
            "/static/../",
            "//",
            "/api/cases/",
            f"/api/cases/{case}/files/",
            "/api/docs/",
            f"/api/cases/..%2f{case}/files/",
            "/static//",
            "/static/vendor/",
        )[int(random.integers(10))]
        method = ("GET", "HEAD", "DELETE")[int(random.choice(3, p=(0.7, 0.15, 0.15)))]
        return method, (prefix + name).replace(" ", "%20"), {}, b""

    def _zip_out(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        up = "../" * int(random.integers(1, 9))
        names = (
            f"{up}{MARK}.dcm",
            f"/tmp/{MARK}.dcm",
            f"..\\..\\{MARK}.dcm",
            f"C:\\{MARK}.dcm",
            f"a/{up}{MARK}.nii",
            f"{self.bait}/{MARK}.nii",
            f"./{up}{MARK}.nrrd",
            f"\\\\host\\{MARK}.dcm",
            f"a\0{up}{MARK}.dcm",
        )
        name = names[int(random.integers(len(names)))]
        files = {name: self._nifti(), "ok.nii": self._nifti()}
        return self._upload(_zipped(files), random)

    def _zip_link(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        files: dict[Any, bytes] = {}
        name = ("link", "scan.nii", "link.raw", "dicom")[int(random.integers(4))]
        link = zipfile.ZipInfo(name)
        link.external_attr = ((stat.S_IFLNK, stat.S_IFREG, stat.S_IFCHR)[int(random.integers(3))] | 0o777) << 16
        files[link] = self._target(random).encode()
        if random.random() < 0.5:
            files[f"{name}/{MARK}.dcm" if random.random() < 0.5 else "a.nrrd"] = self._nrrd("data file: link.raw")
        return self._upload(_zipped(files), random)

    def _pointing(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        """An image whose header names another file, alone or in a zip, beside an archive's own files or not."""
        target, kind = self._target(random), int(random.integers(10))
        lists = (target, f"LIST\n{target}", f"{target}%d 1 1 1", f"LIST 3\n{target}", f" {target} ")
        named = lists[int(random.integers(len(lists)))]
        contents = {
            0: ("a.nrrd", self._nrrd(f"data file: {named}")),
            1: ("a.nhdr", self._nrrd(f"datafile: {named}")),
            2: ("a.mha", self._meta(named)),
            3: ("a.mhd", self._meta(named)),
            4: ("a.nrrd", self._nrrd(f"content: x\rdata file: {named}")),
            5: ("a.mha", self._meta(f"LOCAL\nElementDataFile = {named}")),
            6: ("a.nii", self._nrrd(f"data file: {named}")),
            7: ("a.nii", self._meta(named)),
            8: ("DICOMDIR", bytes(128) + b"DICM" + target.encode()),
            9: ("a.vtk", f"# vtk DataFile Version 3.0\n{target}\n".encode()),
        }
        name, content = contents[kind]
        if random.random() < 0.6:
            content = _zipped({name: content, "secret.raw": self.voxels[:100]})
        return self._upload(content, random, name)

    def _absurd(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        content = bytearray(self._nifti())
        side = (32767, 8192, 30000, 1)[int(random.integers(4))]
        struct.pack_into(
            "<8h", content, 40, int(random.integers(1, 8)), side, side, side, *random.integers(-2, 999, 4).tolist()
        )
        nrrd = self._nrrd("", " ".join(str(int(v)) for v in random.integers(-5, 2**40, 3)))
        meta = self._meta("LOCAL", " ".join(str(int(v)) for v in random.integers(-5, 2**31, 3)))
        packed = gzip.compress(bytes(content))
        chosen = (
            bytes(content),
            nrrd,
            meta,
            packed,
            _zipped({"a.nrrd": nrrd}),
            _zipped({"a.mha": meta}),
            _zipped({"a.nii": bytes(content)}),
        )[int(random.integers(7))]
        return self._upload(chosen, random)

    def _bomb(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        kind = int(random.integers(5))
        if kind == 0:
            content = _zipped({"a.nii": bytes(2**25)})
        elif kind == 1:
            content = _zipped({f"{n}.dcm": b"x" for n in range(300)})
        elif kind == 2:  # a size that is not so
            whole = bytearray(_zipped({"a.dcm": bytes(1000)}))
            place = whole.index(b"PK\x01\x02")
            struct.pack_into("<I", whole, place + 24, int(random.integers(2**32)))
            content = bytes(whole)
        elif kind == 3:
            head = bytearray(self._nifti()[:352])
            struct.pack_into("<8h", head, 40, 3, 512, 512, 400, 1, 1, 1, 1)
            content = gzip.compress(bytes(head) + bytes(2**24))
        else:
            content = _zipped({"a.zip": _zipped({"b.zip": _zipped({"a.nii": self._nifti()})})})
        return self._upload(content, random)

    def _form(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        """Broken forms, wrong lengths, file names that contain paths."""
        method, target, headers, body = self._upload(self._nifti(), random, f"../../{MARK}.nii")
        kind = int(random.integers(6))
        if kind == 0:
            headers["Content-Type"] = f"multipart/form-data; boundary={'y' * int(random.integers(1, 300))}"
        elif kind == 1:
            body = body[: int(random.integers(len(body)))]
        elif kind == 2:
            headers["Content-Type"] = "application/json"
            body = json.dumps({"files": [self._target(random)], "path": str(self.bait)}).encode()
        elif kind == 3:
            headers["Host"] = ("evil.example", "127.0.0.1@evil", "[::1", "")[int(random.integers(4))]
        elif kind == 4:
            headers["Origin"] = "http://evil.example"
        else:
            headers["Content-Disposition"] = f"attachment; filename={self._target(random)}"
        return method, target, headers, body

    def _method(self, random: Generator) -> tuple[str, str, dict[str, str], bytes]:
        method = ("PUT", "PATCH", "OPTIONS", "TRACE", "MKCOL", "MOVE", "COPY", "POST")[int(random.integers(8))]
        targets = (
            f"/{MARK}.html",
            f"/static/{MARK}.js",
            f"/api/cases/{MARK}",
            f"/api/cases/..%2f..%2f{MARK}/cancel",
            "/api/cases",
        )
        headers = {"Destination": f"http://127.0.0.1/{MARK}", "X-Forwarded-Path": self._target(random)}
        return method, targets[int(random.integers(len(targets)))], headers, WORD

    def _upload(self, content: bytes, random: Generator, name: str = "a.bin") -> tuple[str, str, dict[str, str], bytes]:
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode(
            "latin-1", "replace"
        )
        target = "/api/cases" + ("?dicom_seg=true" if random.random() < 0.1 else "")
        return "POST", target, {"Content-Type": "multipart/form-data; boundary=x"}, head + content + b"\r\n--x--\r\n"

    def _nifti(self) -> bytes:
        import nibabel as nib

        volume = self.base.volume.reoriented("LAS")
        return nib.Nifti1Image(volume.data.astype(np.int16), volume.grid.affine).to_bytes()

    def _nrrd(self, line: str, sizes: str = "64 64 24") -> bytes:
        head = (
            f"NRRD0004\ntype: short\ndimension: 3\nsizes: {sizes}\nendian: little\nencoding: raw\n"
            "space: left-posterior-superior\nspace directions: (3.75,0,0) (0,3.75,0) (0,0,7)\n"
            f"space origin: (-118,-118,-80)\n{line}\n"
        )
        return head.encode() if line else head.rstrip("\n").encode() + b"\n\n" + self.voxels

    def _meta(self, named: str, sizes: str = "64 64 24") -> bytes:
        head = (
            f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = {sizes}\n"
            f"ElementSpacing = 3.75 3.75 7\nElementType = MET_SHORT\nElementDataFile = {named}\n"
        )
        return head.encode() + (self.voxels if named == "LOCAL" else b"")


def _zipped(files: dict[Any, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return sink.getvalue()


def lay_bait(folder: Path, base: Base) -> list[Path]:
    """Files that readers of images would take; returns the folders to watch."""
    (folder / "series").mkdir(parents=True)
    count = int(np.prod(SHAPE)) * 2
    (folder / "secret.raw").write_bytes((WORD * (count // len(WORD) + 1))[:count])
    (folder / "scan.nii").write_bytes(WORD * 100)
    for number, content in enumerate(base.plain):
        (folder / "series" / f"{number}.dcm").write_bytes(content[:-64] + WORD[:64])
    return [folder, folder / "series"]


def send(port: int, asked: tuple[str, str, dict[str, str], bytes]) -> tuple[str, bytes]:
    """Status (or the error of the connection) and body of the answer."""
    method, target, headers, body = asked
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(
            method, target.encode("latin-1", "replace").decode("latin-1"), skip_host="Host" in headers
        )
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name, value.encode("latin-1", "replace"))
        connection.endheaders(body)
        answer = connection.getresponse()
        return str(answer.status), answer.read()
    except TimeoutError:
        return "hang", b""
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error).__name__, b""
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=28)
    options = parser.parse_args()
    out = options.out.absolute()
    (out / "work").mkdir(parents=True)
    began, base = time.time(), make_base()
    watched = lay_bait(out / "bait", base)
    requests = Requests(base, out / "bait")
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    server = os.fork()
    if server == 0:
        os.chdir(out / "work")
        serve(out / "cases", port)
        os._exit(0)
    while send(port, ("GET", "/api/info", {}, b""))[0] != "200":
        time.sleep(0.2)
    watch, statuses, told = Watch(*watched), Counter(), 0
    for index in range(options.count):
        random = np.random.default_rng([options.seed, index])
        status, body = send(port, requests.make(random))
        statuses[status] += 1
        told += WORD[:40] in body or b"root:x:0:0" in body
    states = _through(port)
    read = watch.seen()
    (out / "bait" / "scan.nii").read_bytes()
    assert watch.seen(), "the watch is blind"
    asked = ["find", "/", "-xdev", "-name", f"*{MARK}*", "-newermt", f"@{began}", "-not", "-path", "/proc/*"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    beside = sorted(path.name for path in out.iterdir() if path.name not in ("bait", "cases", "work"))
    beside += [path.name for path in (out / "work").iterdir()]
    alive = send(port, ("GET", "/api/info", {}, b""))[0] == "200"
    os.kill(server, signal.SIGTERM)
    os.waitpid(server, 0)
    print(f"{options.count} requests: {dict(sorted(statuses.items()))}")
    print(f"uploads taken, and what became of them: {dict(states)}")
    print(f"bait opened: {len(read)} {sorted(set(read))[:5]}; answers that hold bait: {told}")
    print(f"files written outside: {len(found) + len(beside)} {[*found, *beside][:5]}; still answers: {alive}")


def _through(port: int) -> Counter:
    """States of all cases once none is waiting."""
    while True:
        cases = json.loads(send(port, ("GET", "/api/cases", {}, b""))[1])
        waiting = [case for case in cases if case["state"] in ("queued", "running")]
        if not waiting:
            return Counter((case["error"] or {}).get("detail", case["state"])[:90] for case in cases)
        time.sleep(1.0)


if __name__ == "__main__":
    main()
