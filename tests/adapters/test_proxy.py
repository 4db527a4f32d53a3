"""The faulty way to a server does what a test asks of it, and nothing else."""

import contextlib
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.command_line import eventually
from tests.emulators import proxy
from tests.emulators.proxy import DROP_AFTER, DROP_BEFORE, NONE, STALL, Trouble, always, once, some

BODY = b"0123456789"
LOST = (ConnectionError, http.client.HTTPException, TimeoutError)


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *said):
        pass


@pytest.fixture
def echo():
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.came = []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def way(echo):
    with proxy.before(echo.server_address[1]) as faulty:
        yield faulty


def answer(asking):
    asking.request("PUT", "/x", BODY)
    with asking.getresponse() as said:
        return said.status, said.read()


def answered(way, seconds=60):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", way.port, timeout=seconds)) as asking:
        return answer(asking)


def test_without_a_rule_everything_passes_on_one_connection(way):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", way.port)) as asking:
        assert [answer(asking) for _ in range(3)] == [(200, BODY)] * 3
    assert way.seen == [("PUT", "/x")] * 3


@pytest.mark.parametrize(
    ("trouble", "came", "said"),
    [
        (NONE, [BODY], (200, BODY)),
        (Trouble("delay", 0.01), [BODY], (200, BODY)),
        (Trouble("status", 503), [], (503, b"")),
        (DROP_BEFORE, [], None),
        (DROP_AFTER, [BODY], None),
        (STALL, [], None),
        (Trouble("stall_response", 3), [BODY], None),
        (Trouble("cut_response", 3), [BODY], None),
        (Trouble("corrupt_response", 3), [BODY], (200, b"012\xcc456789")),
        (Trouble("corrupt_request", 3), [b"012\xcc456789"], (200, b"012\xcc456789")),
    ],
)
def test_what_befalls_a_request_befalls_it_alone(way, echo, trouble, came, said):
    way.rule = once(trouble)
    if said is None:
        with pytest.raises(LOST):
            answered(way, seconds=0.5)
    else:
        assert answered(way) == said
    eventually(lambda: echo.came == came, seconds=60)
    assert answered(way) == (200, BODY)


def test_a_rule_may_concern_some_methods_or_numbers_only():
    rule = some(range(1, 2), STALL, "PUT")
    assert [rule(method, "/") for method in ("PUT", "GET", "PUT", "PUT")] == [NONE, NONE, STALL, NONE]
    assert [always(STALL, "GET")(method, "/") for method in ("PUT", "GET")] == [NONE, STALL]
