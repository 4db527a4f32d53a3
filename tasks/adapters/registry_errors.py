"""What MLflow, the database under it or the network said, in our words: who has to act, and on what."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from tasks.errors import BadRequest, GreenlightError, HomeDamaged, OutOfSpace, Unreachable

LOGIN = re.compile(r"(?<=://)[^/?#\s]*@")
NO_ROOM = ("readonly", "read-only", "disk is full", "no space left", "unable to open")
LOCKED = ("database is locked", "database table is locked")
DAMAGED = ("malformed", "not a database", "no such table", "out-of-date database schema")


@contextlib.contextmanager
def translated(uri: str) -> Iterator[None]:
    """Raise whatever the block raises as one of our errors, which names the registry at *uri* and what to do."""
    try:
        yield
    except GreenlightError:
        raise
    except Exception as error:
        raise _translation(uri, error) from error


def _translation(uri: str, error: Exception) -> GreenlightError:
    said = without_login(str(error).splitlines()[0] if str(error) else type(error).__name__)
    if any(word in said.lower() for word in NO_ROOM):
        return OutOfSpace(f"MLflow could not write to {uri}: {said}; make room, or make the home writable")
    if any(word in said.lower() for word in DAMAGED):
        return HomeDamaged(f"MLflow's database {uri} is damaged: {said}; move it away, then run: greenlight reconcile")
    if _unanswered(uri, error, said.lower()):
        return Unreachable(f"MLflow at {uri} did not answer: {said}; look whether it is up, then run again")
    if isinstance(error, OSError):
        return OutOfSpace(f"MLflow's folder cannot be written: {said}; make room or make it writable")
    return BadRequest(
        f"MLflow at {uri} refused what was asked ({type(error).__name__}): {said}; asking again would not help: "
        "compare its version with requirements.lock, and what its user may do there"
    )


def _unanswered(uri: str, error: Exception, said: str) -> bool:
    """Say whether asking again may help: no connection, no answer in time, a locked database, or a server's 5xx."""
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import RetryError, Timeout
    from sqlalchemy.exc import OperationalError

    if uri.startswith("sqlite:"):
        return any(word in said for word in LOCKED)
    silent = (ConnectionError, TimeoutError, NoConnection, RetryError, Timeout, OperationalError)
    status = getattr(error, "get_http_status_code", lambda: 0)()
    return any(isinstance(each, silent) for each in _chain(error)) or (uri.startswith("http") and status >= 500)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def without_login(text: str) -> str:
    """Return *text* without the user and password of any address in it."""
    return LOGIN.sub("", text)
