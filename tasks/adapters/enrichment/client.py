"""One question to one provider of chat completions over HTTP: the bytes of its answer, or why there is none.

Asking again, and whom else, is tasks/ask_providers.py's. The key is in one header and in nothing that is told; what a
provider says in a refusal is not told either, because some of them repeat the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from tasks.adapters.settings import LOOPBACK
from tasks.core.enrichment.answers import Malformed
from tasks.core.enrichment.budget import Price
from tasks.core.enrichment.retrying import retry_after_seconds, retryable

# Every further request will be refused as well: the key, what it may do, or what the provider is called is wrong.
HOPELESS = frozenset({401, 402, 403, 404})
# A gateway lost the answer; whoever stands behind it may have done the work.
LOST_BEHIND_A_GATEWAY = frozenset({502, 504})
PATH = "/chat/completions"


@dataclass(frozen=True)
class Provider:
    """Whom to ask: ``name`` is its place in the chain, ``url`` the address before ``/chat/completions``."""

    name: str
    url: str
    model: str
    price: Price
    key: SecretStr

    @property
    def title(self) -> str:
        """Return what it is called where people read it."""
        return f"{self.name} {self.model}"


class Unanswered(Exception):
    """A provider gave no answer. ``again``: the same request may be answered later; ``never``: no request ever will be.

    ``after_seconds`` is what it told to wait; ``billed`` says that it may have done the work all the same.
    """

    def __init__(
        self, reason: str, kind: Literal["again", "row", "never"], after_seconds: float | None = None, *, billed: bool
    ) -> None:
        super().__init__(reason)
        self.kind, self.after_seconds, self.billed = kind, after_seconds, billed


class Client:
    """A connection to a provider that no answer can flood, and no silence or dripping can hold for long."""

    def __init__(self, provider: Provider, *, timeout_seconds: float, answer_bytes: int) -> None:
        self._seconds, self._most = timeout_seconds, answer_bytes
        self._address = provider.url.rstrip("/") + PATH
        key = provider.key.get_secret_value()
        self._runner, self._sent = asyncio.Runner(), False
        self._http = httpx.AsyncClient(
            # Packed answers could unpack to any size.
            headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})},
            timeout=timeout_seconds,
            # Whoever a provider points to is not given the text, nor the key.
            follow_redirects=False,
            trust_env=urlsplit(provider.url).hostname not in LOOPBACK,
        )

    def close(self) -> None:
        """Close what is open."""
        self._runner.run(self._http.aclose())
        self._runner.close()

    def ask(self, question: Mapping[str, Any]) -> bytes:
        """Return the bytes of the answer; raises Unanswered, or Malformed where they are too many or packed."""
        with self._failures():
            return self._runner.run(self._asked(question))

    async def _asked(self, question: Mapping[str, Any]) -> bytes:
        # httpx bounds each read, and every byte of a head or a body may come in time; only a loop can end all of them.
        self._sent = False
        request = self._http.stream("POST", self._address, json=question, extensions={"trace": self._note})
        async with asyncio.timeout(self._seconds), request as answer:
            if answer.status_code != HTTPStatus.OK:
                raise _refusal(answer)
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise Malformed("the reply is packed, though it was asked for as it is")
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > self._most:
                    raise Malformed(f"the reply is longer than {self._most:,} bytes")
            return bytes(body)

    async def _note(self, event: str, _: Any) -> None:
        self._sent = self._sent or event.endswith("send_request_headers.started")

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise Unanswered(f"no connection ({type(error).__name__})", "again", billed=False) from None
        except (httpx.TimeoutException, TimeoutError):
            # Whoever was never reached has done no work that costs.
            never = "" if self._sent else ", not even a connection"
            raise Unanswered(f"no whole answer in {self._seconds:g} s{never}", "again", billed=self._sent) from None
        except httpx.TransportError as error:
            raise Unanswered(f"the connection broke ({type(error).__name__})", "again", billed=True) from None


def _refusal(answer: httpx.Response) -> Unanswered:
    status = answer.status_code
    reason = f"HTTP {status}"
    if status in HOPELESS:
        return Unanswered(reason, "never", billed=False)
    if not retryable(status):
        return Unanswered(reason, "row", billed=False)
    told = retry_after_seconds(answer.headers.get("Retry-After"), datetime.now(UTC))
    return Unanswered(reason, "again", told, billed=status in LOST_BEHIND_A_GATEWAY)
