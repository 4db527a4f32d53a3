"""A server that takes a connection and reads nothing holds nobody: what is sent waits in vain, not for ever."""

import socket
import time

import pytest

from tasks.errors import Unreachable
from tests.stores import crowding

SECONDS = 3
# More than the buffers of both ends hold.
BODY_BYTES = 12 << 20


def test_a_server_that_reads_nothing_is_given_up(cloud):
    with socket.create_server(("127.0.0.1", 0), backlog=16) as deaf:
        store = cloud.open(port=deaf.getsockname()[1], seconds=SECONDS)
        started = time.monotonic()
        with pytest.raises(Unreachable, match=r"k: no answer.*nothing is half written"):
            store.put("k", b"x" * BODY_BYTES)
    # A busy machine may be slow; for ever is longer.
    assert time.monotonic() - started < SECONDS + SECONDS * crowding()
