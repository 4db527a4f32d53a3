"""The PostgreSQL that GREENLIGHT_WAREHOUSE names: one transaction at a time, its failures in our words.

What is written there, vectors or tables, belongs to their modules; the truth is never there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.errors import AccessDenied, BadRequest, GreenlightError, Unreachable

# What a server that will answer later says instead of letting us in; psycopg2 hands no code over with it.
BUSY = (
    "starting up",
    "shutting down",
    "in recovery mode",
    "too many clients",
    "connection slots",
    "too many connections",
)


@contextmanager
def transaction(database: str) -> Iterator[Any]:
    """Yield a cursor whose transaction is kept if all went well; the password in the address is never told.

    Raises Unreachable where nobody answers or the connection breaks, AccessDenied where it lets us not in, BadRequest
    where the address is none, or the database refuses.
    """
    try:
        import psycopg2
    except ImportError as error:
        raise BadRequest("psycopg2 is not installed; pip install 'greenlight[postgres]'") from error
    try:
        connection = psycopg2.connect(database, connect_timeout=10)
    except psycopg2.ProgrammingError:
        # Nothing is told of the address that cannot be read, nor what was made of it: both may hold a password.
        raise BadRequest(
            "GREENLIGHT_WAREHOUSE cannot be read; write it as postgresql://user:password@host:5432/database"
        ) from None
    except psycopg2.Error as error:
        raise _not_connected(str(error)) from None
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        told = getattr(error, "pgerror", None) or "no answer"
        raise Unreachable(f"the PostgreSQL of GREENLIGHT_WAREHOUSE broke off: {told}") from error
    except psycopg2.Error as error:
        raise BadRequest(f"the PostgreSQL of GREENLIGHT_WAREHOUSE refused: {error.pgerror}") from error
    finally:
        connection.close()


def _not_connected(message: str) -> GreenlightError:
    """Return what kept us from a connection: a server that lets nobody in tells so as FATAL, whatever its language."""
    said = message.partition("FATAL:")[2].strip().partition("\n")[0]
    if said and not any(each in said for each in BUSY):
        return AccessDenied(
            f"the PostgreSQL of GREENLIGHT_WAREHOUSE lets us not in: {said}; correct user, password or database in it"
        )
    why = f"only says: {said}." if said else "does not answer: is it up, and the address right?"
    return Unreachable(f"the PostgreSQL of GREENLIGHT_WAREHOUSE {why} Nothing is lost; run again once it answers")


def alone(cursor: Any, table: str) -> str:
    """Let one writer of *table* in until the transaction ends, and return what its comment says it holds."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (table,))
    cursor.execute("SELECT obj_description(to_regclass(%s))", (table,))
    return str(cursor.fetchone()[0] or "")
