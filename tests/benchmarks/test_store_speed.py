"""What a store in a cloud costs its client: processor and memory per GB, and many small files over a long way.

What it is compared with is run beside it: hashing the same bytes, and what one would write without Greenlight.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.adapters import bundles, mirrors
from tasks.adapters.blobs import put_blob, put_blobs
from tasks.adapters.settings import settings
from tasks.core.manifest import About
from tests.emulators import proxy
from tests.emulators.proxy import Trouble, always
from tests.released import Released
from tests.stores import CLOUDS, PATIENT, Place

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
LARGE_BYTES = 256 << 20
PER_GB = (1 << 30) / LARGE_BYTES
EXTRA_MB = 64
COST = """
import hashlib, json, re, sys, time
from pathlib import Path
from tasks.adapters.store import open_store

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

def cost(work):
    Path("/proc/self/clear_refs").write_text("5")
    before, cpu = peak(), time.process_time()
    work()
    return time.process_time() - cpu, peak() - before

def digest():
    with source.open("rb") as stream:
        hashlib.file_digest(stream, "sha256")

def read():
    with store.open("large") as stream:
        for _ in iter(lambda: stream.read(1 << 20), b""):
            pass

store, source = open_store(sys.argv[1]), Path(sys.argv[2])
store.put("warm", b"up")
store.open("warm").close()
print(json.dumps([cost(digest), cost(lambda: store.put("large", source)), cost(read)]))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    source = tmp_path_factory.mktemp("large") / "large"
    with source.open("wb") as out:
        for _ in range(LARGE_BYTES >> 20):
            out.write(random.randbytes(1 << 20))
    return source


def test_a_gigabyte_costs_a_few_times_its_digest(place, large, capsys):
    uri = place.open().uri
    command = [sys.executable, "-c", COST, uri, str(large)]
    patient = os.environ | PATIENT
    done = subprocess.run(command, cwd=ROOT, env=patient, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr
    digest, up, down = json.loads(done.stdout)
    with capsys.disabled():
        print(
            f"\n{place.kind}: CPU s/GB: digest {digest[0] * PER_GB:.1f}, up {up[0] * PER_GB:.1f}, down "
            f"{down[0] * PER_GB:.1f}; {up[1]} MB more up, {down[1]} MB more down"
        )
    place.open().delete("large")
    assert up[0] < 10 * digest[0]
    assert down[0] < 10 * digest[0]
    assert max(up[1], down[1]) <= EXTRA_MB


FILES, FILE_BYTES = 200, 10_000
SECONDS = """
import os, sys, time
port, folder, target = sys.argv[1:]
endpoint = "http://127.0.0.1:" + port
{}
begun = time.perf_counter()
put()
print(time.perf_counter() - begun)
"""
# What one would write instead: fsspec's recursive put, which asks nothing first and sends up to 128 files at once. On
# S3 it is the SDK's own upload of one file after another, since s3fs would downgrade boto3.
INSTEAD = {
    "gs": """
from gcsfs.core import GCSFileSystem

class Crlf(GCSFileSystem):
    # Its bodies have bare line feeds in them, which Google takes and the stand-in does not.
    async def _call(self, *asked, data=None, **named):
        if data:
            about, kind, rest = data.split(b"\\n\\n", 2)
            head = b"\\n\\n".join([about, kind, b""]).replace(b"\\n", b"\\r\\n")
            data = head + rest.removesuffix(b"\\n--==0==--") + b"\\r\\n--==0==--"
        return await super()._call(*asked, data=data, **named)

key = os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
files = Crlf("media", "read_write", key, endpoint_url=endpoint)
files.ls(target.split("/")[0])
put = lambda: files.put(folder, target, recursive=True)
""",
    "s3": """
import boto3
from botocore.config import Config
bucket, _, prefix = target.partition("/")
path = Config(s3={"addressing_style": "path"})
client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=path)
client.list_objects_v2(Bucket=bucket, MaxKeys=1)
put = lambda: [client.upload_file(f"{folder}/{name}", bucket, f"{prefix}/{name}") for name in os.listdir(folder)]
""",
    "az": """
from adlfs import AzureBlobFileSystem
account, key = "devstoreaccount1", os.environ["AZURE_STORAGE_ACCOUNT_KEY"]
said = f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};BlobEndpoint={endpoint}/{account};"
files = AzureBlobFileSystem(account_name=account, connection_string=said)
files.ls(target.split("/")[0])
put = lambda: files.put(folder, target, recursive=True)
""",
}


OURS = """
from pathlib import Path
from tasks.adapters.blobs import put_blobs
from tasks.adapters.store import open_store
files, store = {file.name: file for file in Path(folder).iterdir()}, open_store(target)
list(store.list(""))
put = lambda: put_blobs(store, files)
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Files of one directory."""
    folder = tmp_path_factory.mktemp("small")
    for number in range(FILES):
        (folder / f"{number:03}").write_bytes(random.randbytes(FILE_BYTES))
    return folder


def seconds_of(work, store, files):
    list(store.list(""))
    begun = time.perf_counter()
    work(store, files)
    return time.perf_counter() - begun


def seconds_alone(put, port, folder, target):
    """Return how long a process of its own takes for it, which shares nothing with the way there."""
    command = [sys.executable, "-c", SECONDS.format(put), str(port), str(folder), target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def put_each(store, files):
    for file in files:
        put_blob(store, file)


def put_side_by_side(store, files):
    put_blobs(store, {file.name: file for file in files})


def test_many_small_files_do_not_wait_for_one_another(cloud, small, capsys):
    files = sorted(small.iterdir())
    seconds = {}
    for latency_ms in (0, 30):
        with proxy.before(cloud.emulator.port) as way:
            way.rule = always(Trouble("delay", latency_ms / 1000))
            for how, put in (("one by one", put_each), ("side by side", put_side_by_side)):
                place = replace(cloud, prefix=f"{cloud.prefix}/{how}/{latency_ms}")
                seconds[how, latency_ms] = seconds_of(put, place.open(port=way.port, seconds=120), files)
                assert len(list(place.open().list("blobs/"))) == FILES
            if cloud.kind in INSTEAD:
                by_hand = f"{cloud.emulator.bucket}/{cloud.prefix}/instead"
                seconds["by hand", latency_ms] = seconds_alone(INSTEAD[cloud.kind], way.port, small, by_hand)
                alone = replace(cloud, prefix=f"{cloud.prefix}/alone/{latency_ms}").open(port=way.port, seconds=120)
                seconds["alone", latency_ms] = seconds_alone(OURS, way.port, small, alone.uri)
    with capsys.disabled():
        print(f"\n{cloud.kind}: {FILES} files, seconds:", {" ".join(map(str, k)): v for k, v in seconds.items()})
    # What the way itself adds: the rest is the emulator's own time, of which there is a lot.
    added = {how: seconds[how, 30] - seconds[how, 0] for how in ("one by one", "side by side")}
    assert added["side by side"] < added["one by one"] / 3
    if cloud.kind in INSTEAD:
        # Each file is asked for before it is sent: two requests where by hand there is one, and fewer at a time.
        assert seconds["alone", 30] < 4 * seconds["by hand", 30]


def test_four_clouds_are_published_to_at_once(emulators, tmp_path, monkeypatch, capsys):
    shop = Released(tmp_path / "home")
    files = {f"{number:03}": random.randbytes(FILE_BYTES) for number in range(FILES // 5)}
    made = bundles.publish(shop.store, shop.signer, "shops", files, About(("sales",)))
    places = [Place(kind, emulators(kind), f"four-{kind}", monkeypatch) for kind in CLOUDS]
    for place in places:
        place.see(place.emulator.credentials)
    seconds = {}
    # So long that waiting is most of it, however busy the machine.
    for latency_ms in (0, 300):
        with ExitStack() as stack:
            ways = [stack.enter_context(proxy.before(place.emulator.port)) for place in places]
            for way in ways:
                way.rule = always(Trouble("delay", latency_ms / 1000))
            for how, groups in (("one after another", [[0], [1], [2], [3]]), ("at once", [[0, 1, 2, 3]])):
                stores = [
                    replace(place, prefix=f"{place.prefix}/{how}/{latency_ms}").open(port=way.port, seconds=120)
                    for place, way in zip(places, ways, strict=True)
                ]
                for store in stores:
                    list(store.list(""))
                begun = time.perf_counter()
                for group in groups:
                    held = [stores[number] for number in group]
                    found = mirrors.replicate(shop.store, held, shop.trust, "shops", made.version, "2026-11-21")
                    assert not found.missing(None), found.sentence
                seconds[how, latency_ms] = time.perf_counter() - begun
    settings.cache_clear()
    with capsys.disabled():
        print(f"\n{len(files)} files, published and read back in four clouds, seconds:", seconds)
    added = {how: seconds[how, 300] - seconds[how, 0] for how in ("one after another", "at once")}
    assert added["at once"] < added["one after another"] / 2
