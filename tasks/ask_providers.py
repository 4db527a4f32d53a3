"""Asks providers of chat completions in turn, with patience: again where that helps, not where a breaker says no.

What is worth asking again, and how long to wait, is tasks/core/enrichment; one question is adapters/enrichment/client.
Nothing is sent that might cost more than is left: the worst case is reserved first, and what it took is settled after.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tasks.adapters.enrichment.breakers import Breakers, open_breakers
from tasks.adapters.enrichment.cache import Cache, redis_cache, sqlite_cache
from tasks.adapters.enrichment.client import Client, Provider, Unanswered
from tasks.adapters.settings import Enrich
from tasks.core.digests import digest_of
from tasks.core.enrichment import answers, asking
from tasks.core.enrichment.answers import Answer, Malformed
from tasks.core.enrichment.breaker import CLOSED, Fuse, after_failure, closed_in
from tasks.core.enrichment.budget import NOTHING, Price, amount, billionths, cost, fits, worst_case
from tasks.core.enrichment.retrying import Patience, wait_seconds
from tasks.core.enrichment.rows import Account, Analysed
from tasks.errors import AccessDenied, BadRequest, BudgetReached, Unreachable

logger = logging.getLogger(__name__)

# In this order they are asked.
PLACES = ("primary", "secondary", "tertiary")
# A malformed answer is asked for once more.
TRIES = 2


@dataclass(frozen=True)
class Limits:
    """What holds for every question: how patient, how large, how dear (in billionths)."""

    patience: Patience
    fuse: Fuse
    text_characters: int
    answer_tokens: int
    budget: int


@dataclass(frozen=True)
class Surroundings:
    """What a test must be able to set: the time, waiting, and chance."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random


@dataclass
class Link:
    """A provider of the chain; ``out`` says why it is not asked any more by this run."""

    provider: Provider
    client: Client
    out: str = ""
    asked: str = field(init=False)

    def __post_init__(self) -> None:
        self.asked = asking.identity(self.provider.url, self.provider.model)


@contextmanager
def configured(enrich: Enrich, folder: Path, redis: str) -> Iterator[Chain]:
    """Yield the chain that the settings name, what it keeps in *folder*; raises BadRequest where they name no provider.

    *redis* is the address of answers kept in Redis.
    """
    named = {name: getattr(enrich, name) for name in PLACES if getattr(enrich, name) is not None}
    if not named:
        raise BadRequest(
            "no provider is configured, so no text is sent anywhere; set GREENLIGHT_ENRICH__PRIMARY__URL, __MODEL, "
            "__PRICE_IN and __PRICE_OUT (docs/enrichment.md), or leave --analyser out"
        )
    kept: AbstractContextManager[Cache] = (
        redis_cache(redis) if enrich.cache == "redis" else sqlite_cache(folder / "cache.sqlite")
    )
    with ExitStack() as stack:
        cache, breakers = stack.enter_context(kept), stack.enter_context(open_breakers(folder / "breakers.sqlite"))
        links = []
        for name, each in named.items():
            provider = Provider(name, each.url, each.model, Price(each.price_in, each.price_out), each.key)
            client = Client(
                provider, timeout_seconds=enrich.timeout_seconds, answer_bytes=enrich.answer_kilobytes * 1024
            )
            links.append(Link(provider, stack.enter_context(closing(client))))
        yield Chain(links, cache, breakers, _limits(enrich))


def _limits(enrich: Enrich) -> Limits:
    return Limits(
        Patience(enrich.attempts),
        Fuse(enrich.breaker_failures, enrich.breaker_seconds),
        enrich.text_characters,
        enrich.answer_tokens,
        billionths(enrich.budget),
    )


class Chain:
    """The analyser that asks providers, each only where the one before gave no answer."""

    columns = answers.COLUMNS
    rows_at_risk = 1

    def __init__(
        self,
        links: Sequence[Link],
        cache: Cache,
        breakers: Breakers,
        limits: Limits,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._links, self._cache, self._breakers, self._limits = links, cache, breakers, limits
        self._around = surroundings or Surroundings()
        self.identity = digest_of([link.asked for link in links])

    def analyse(self, text: str, account: Account) -> Analysed:
        """Return what the first provider that answers says of *text*, asked now or before.

        Raises BudgetReached before a request that might cost too much; AccessDenied or Unreachable where no provider
        is left to ask.
        """
        for link in self._links:
            kept = self._cache.get(asking.name_of_answer(link.asked, text))
            if kept is not None:
                return Analysed(link.provider.title, kept.model_dump(), cached=True)
        if len(text) > self._limits.text_characters:
            return Analysed("", reason=f"longer than the {self._limits.text_characters:,} characters that may be sent")
        return self._asked_in_turn(text, account)

    def _asked_in_turn(self, text: str, account: Account) -> Analysed:
        reasons, settled = [], True
        for link in self._links:
            try:
                return self._answered(link, text, account)
            except Unanswered as error:
                reasons.append(f"{link.provider.title}: {error}")
                settled = settled and error.kind == "row"
        if not any(self._takes_requests(link) for link in self._links):
            raise self._nobody_left(reasons)
        return Analysed("", reason="; ".join(reasons), settled=settled)

    def _answered(self, link: Link, text: str, account: Account) -> Analysed:
        """Return the provider's answer, or that it is malformed twice; raises Unanswered."""
        reason = ""
        for _ in range(TRIES):
            try:
                answer = self._patiently(link, text, account)
            except Malformed as error:
                reason = str(error)
            else:
                self._cache.put(asking.name_of_answer(link.asked, text), answer)
                return Analysed(link.provider.title, answer.model_dump())
        return Analysed(link.provider.title, reason=reason)

    def _patiently(self, link: Link, text: str, account: Account) -> Answer:
        failures = 0
        while True:
            self._refuse_idle(link)
            try:
                return self._once(link, text, account)
            except Unanswered as error:
                failures += 1
                if error.kind != "again":
                    raise
                patience, told = self._limits.patience, error.after_seconds
                wait = wait_seconds(patience, failures, told, self._around.draw())
                if wait is None or not self._takes_requests(link):
                    raise
                logger.info("%s: %s; again in %.1f s", link.provider.title, error, wait)
                self._around.sleep(wait)

    def _refuse_idle(self, link: Link) -> None:
        if link.out:
            raise Unanswered(link.out, "never", billed=False)
        if not self._takes_requests(link):
            raise Unanswered("left alone after failures in a row", "again", billed=False)

    def _once(self, link: Link, text: str, account: Account) -> Answer:
        """Ask one provider once, and account for it; raises Unanswered, Malformed or BudgetReached."""
        provider, limits = link.provider, self._limits
        worst = worst_case(asking.contents(text), limits.answer_tokens)
        dearest = cost(provider.price, worst)
        self._refuse_too_dear(account, dearest)
        reservation = account.reserve(worst, dearest)
        took = worst
        try:
            body = link.client.ask(asking.question(provider.model, text, limits.answer_tokens))
            took = answers.tokens_of(body) or worst
        except Unanswered as error:
            took = worst if error.billed else NOTHING
            self._failed(link, error)
            raise
        finally:
            account.settle(reservation, took, cost(provider.price, took))
        self._breakers.put(link.asked, CLOSED)
        return answers.answer_of(answers.content_of(body))

    def _failed(self, link: Link, error: Unanswered) -> None:
        if error.kind == "never":
            link.out = str(error)
            logger.warning("%s is not asked again: %s", link.provider.title, error)
        elif error.kind == "again":
            opened = after_failure(self._breakers.get(link.asked), self._limits.fuse, self._around.clock())
            self._breakers.put(link.asked, opened)
            if opened.opened_at is not None:
                logger.warning(
                    "%s failed %s times in a row (%s) and is left alone for %g s",
                    link.provider.title, opened.failures, error, self._limits.fuse.open_seconds,
                )  # fmt: skip

    def _takes_requests(self, link: Link) -> bool:
        return not link.out and not self._closed_in(link)

    def _closed_in(self, link: Link) -> float:
        return closed_in(self._breakers.get(link.asked), self._limits.fuse, self._around.clock())

    def _refuse_too_dear(self, account: Account, dearest: int) -> None:
        _, _, committed = account.spent()
        if not fits(self._limits.budget, committed, dearest):
            raise BudgetReached(
                f"the budget is {amount(self._limits.budget):g}, {amount(committed):g} of it is spent, and the next "
                f"request may cost {amount(dearest):g}: it was not sent and no file was written. All answers are kept: "
                "run again with a larger --budget to go on"
            )

    def _nobody_left(self, reasons: Sequence[str]) -> AccessDenied | Unreachable:
        told = "; ".join(reasons)
        waits = [self._closed_in(link) for link in self._links if not link.out]
        if not waits:
            return AccessDenied(
                f"every provider refuses us: {told}. Check its key, address and model "
                "(GREENLIGHT_ENRICH__PRIMARY__KEY, __URL, __MODEL); no file was written, all answers are kept: run "
                "again to go on"
            )
        return Unreachable(
            f"no provider answers: {told}. No file was written, all answers are kept: run again in "
            f"{max(1.0, min(waits)):.0f} s or later to go on"
        )
