"""Azure Blob Storage in the tests: Azurite, which `make test` installs beside the environment's Python."""

from __future__ import annotations

import shutil
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.emulators import Emulator, free_port, served

INSTALLED = Path(sys.prefix) / "azurite"
PROGRAM = INSTALLED / "node_modules/azurite/dist/src/blob/main.js"
# Azurite's own and well known; it accepts no other.
SECRET = "AZURE_STORAGE_ACCOUNT_KEY"
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Run it with one container; skip where it is not installed."""
    from azure.storage.blob import BlobServiceClient

    node = shutil.which("node")
    if node is None or not (INSTALLED / ".ready").exists():
        pytest.skip(f"Azurite is not in {INSTALLED}; install npm, then run: make test")
    port = free_port()
    # The SDK speaks a newer version of the service than the newest Azurite for Node 20 knows.
    options = ["--skipApiVersionCheck", "--silent", "--disableTelemetry", "--blobHost", "127.0.0.1"]
    command = [node, PROGRAM, *options, "--blobPort", str(port), "--location", str(folder)]
    with served(command, port, folder / "azurite.log", cwd=folder) as process:
        address = f"az://{{bucket}}?endpoint=http://127.0.0.1:{{port}}/{ACCOUNT}&account={ACCOUNT}"
        emulator = Emulator(port, address, {SECRET: KEY}, {SECRET: b64encode(b"wrong").decode()}, process=process)
        with BlobServiceClient(f"http://127.0.0.1:{port}/{ACCOUNT}", credential=KEY) as client:
            client.create_container(emulator.bucket)
        yield emulator
