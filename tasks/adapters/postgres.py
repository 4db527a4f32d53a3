"""The PostgreSQL that GREENLIGHT_WAREHOUSE names: one transaction at a time, its failures in our words.

What is written there, vectors or tables, belongs to their modules; the truth is never there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.errors import BadRequest, Unreachable


@contextmanager
def transaction(database: str) -> Iterator[Any]:
    """Yield a cursor whose transaction is kept if all went well; what the address holds is never told.

    Raises Unreachable where nobody answers or the connection breaks, BadRequest where the database refuses.
    """
    try:
        import psycopg2
    except ImportError as error:
        raise BadRequest("psycopg2 is not installed; pip install 'greenlight[postgres]'") from error
    try:
        connection = psycopg2.connect(database, connect_timeout=10)
    except psycopg2.Error:
        # Not chained: the message may quote the address, and that has a password.
        raise Unreachable(
            "the PostgreSQL of GREENLIGHT_WAREHOUSE does not answer; is it up, and the address right?"
        ) from None
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


def alone(cursor: Any, table: str) -> str:
    """Let one writer of *table* in until the transaction ends, and return what its comment says it holds."""
    cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (table,))
    cursor.execute("SELECT obj_description(to_regclass(%s))", (table,))
    return str(cursor.fetchone()[0] or "")
