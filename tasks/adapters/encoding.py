"""From the bytes of a text file to blocks of clean UTF-8 lines, in bounded memory.

Whatever is repaired is counted in ``Repairs``. What the cells mean is tasks/core/reading.py; which file is read, and
how it becomes Parquet, is tasks/adapters/sources.py.

Byte by byte: UTF-16 is told by its mark; what is valid UTF-8 is UTF-8; any other byte is Windows-1252. So no library
guesses, and the same file reads the same everywhere. Letters that were encoded twice are undone by ftfy, on distinct
cells only.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import ftfy
import polars as pl

from tasks.core.reading import beyond_ascii
from tasks.errors import SourceUnusable

BLOCK_BYTES = 16 << 20
# A line longer than this is no line of a table.
LONGEST_LINE_BYTES = 4 * BLOCK_BYTES
# A quoted cell that does not end within so many lines never does: its quote is then an ordinary character.
LONGEST_RECORD_LINES = 50
SEPARATORS = (",", "\t", ";", "|")

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
# First bytes → what the file is; none of these is a table we read.
NOT_A_TABLE = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"SQLite format 3": "a SQLite database",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"ARROW1": "an Arrow file",
    b"\x7fELF": "a program",
    b"<": "an HTML or XML page",
    b"{": "JSON",
    b"[": "JSON",
}
UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

# Finds one fast, behind its line feed; the other removes them all.
SOME_BLANK_LINE = re.compile(rb"\n[ \t\r]*(?:\n|(?<=[ \t\r])\Z)")
BLANK_LINE = re.compile(rb"^[ \t\r]*\n|^[ \t\r]+\Z", re.MULTILINE)
# First halves of a UTF-8 letter read as Windows-1252, followed by what its second half then looks like.
TWICE_ENCODED = r"[Â-ßà-ð][\x{80}-\x{BF}€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"


@dataclass
class Repairs:
    """What was put right in one text file, as counts."""

    lines_not_utf8: int = 0
    nul_bytes: int = 0
    broken_quotes: int = 0
    utf16: bool = False


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while *path* is read into SourceUnusable."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceUnusable(f"{path} does not exist; check the path given as --source") from error
    except PermissionError as error:
        raise SourceUnusable(f"{path} may not be read by this user; change its permissions") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceUnusable(
            f"{path} is a gzip file that breaks off or is damaged ({error}); download or compress it again"
        ) from error
    except OSError as error:
        raise SourceUnusable(f"{path} cannot be read: {error.strerror or error}") from error


def first_bytes(path: Path, size: int = 1 << 12) -> bytes:
    """Return the first bytes of *path*, unpacked if it is gzip."""
    with reading(path), _open(path) as file:
        return file.read(size)


def is_parquet(path: Path) -> bool:
    """Tell a Parquet file by its first bytes."""
    return first_bytes(path, 4) == PARQUET


def text_chunks(path: Path, repairs: Repairs) -> Iterator[bytes]:
    """Yield the bytes of a text file as UTF-8 as far as its marks tell, with line feeds; raises SourceUnusable."""
    with reading(path), _open(path) as file:
        first = file.read(BLOCK_BYTES)
        _refuse_what_is_no_text(path, first[: 1 << 12])
        decode = codecs.getincrementaldecoder("utf-16")("replace").decode if first[:2] in UTF16_MARKS else None
        repairs.utf16 = decode is not None
        chunk = first.removeprefix(UTF8_MARK)
        only_returns: bool | None = None
        while chunk:
            following = file.read(BLOCK_BYTES)
            text = decode(chunk, not following).encode("utf-8", "replace") if decode else chunk
            if only_returns is None:
                only_returns = b"\n" not in text and b"\r" in text
            yield text.replace(b"\r", b"\n") if only_returns else text
            chunk = following


def clean_blocks(chunks: Iterator[bytes], separator: str, repairs: Repairs, path: Path) -> Iterator[bytes]:
    """Yield blocks of whole records as UTF-8 that a strict CSV reader takes: quotes closed, no blank lines, no NUL."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        end = _record_end(rest)
        if not end and len(rest) > LONGEST_LINE_BYTES:
            raise SourceUnusable(
                f"{path}: a line of more than {LONGEST_LINE_BYTES >> 20} MiB is no line of a table; give a CSV file"
            )
        if end:
            block, left = _cleaned(rest[:end], separator, repairs, last=False)
            rest = left + rest[end:]
            if block:
                yield block
    block, _ = _cleaned(rest, separator, repairs, last=True)
    if block:
        yield block


def mended(raw: pl.DataFrame, names: Sequence[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Undo double encoding in the text columns *names*; returns the frame and the cells changed by column."""
    counts = {}
    for name in names:
        if raw.schema[name] != pl.String or not beyond_ascii(raw[name]):
            continue
        odd = raw[name].filter(raw[name].str.contains(TWICE_ENCODED).fill_null(False)).unique()
        repaired = {text: _mend(text) for text in odd if _mend(text) != text}
        if repaired:
            counts[name] = int(raw[name].is_in(list(repaired)).sum())
            raw = raw.with_columns(pl.col(name).replace(repaired))
    return raw, counts


@lru_cache(maxsize=1 << 16)
def _mend(text: str) -> str:
    better = ftfy.fix_encoding(text)
    return better if better.count("\ufffd") <= text.count("\ufffd") else text


def _open(path: Path) -> io.BufferedIOBase:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")


def _refuse_what_is_no_text(path: Path, start: bytes) -> None:
    if start[:2] in UTF16_MARKS:
        return
    text = start.removeprefix(UTF8_MARK).lstrip()
    kind = next((kind for magic, kind in NOT_A_TABLE.items() if text.startswith(magic)), None)
    control = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in start)
    if kind is None and control > len(start) * 0.02:
        kind = "a binary file"
    if kind:
        raise SourceUnusable(f"{path} is {kind}, not a table; give a CSV, CSV.gz or Parquet file, or a folder of them")


def _record_end(block: bytes) -> int:
    """Return where the last whole record of *block* ends: a line feed behind an even number of quotes."""
    last = end = block.rfind(b"\n") + 1
    quotes = block.count(b'"', 0, end)
    for _ in range(LONGEST_RECORD_LINES):
        if quotes % 2 == 0:
            return end
        earlier = block.rfind(b"\n", 0, end - 1) + 1
        if not earlier:
            break
        quotes -= block.count(b'"', earlier, end)
        end = earlier
    return last


def _cleaned(block: bytes, separator: str, repairs: Repairs, *, last: bool) -> tuple[bytes, bytes]:
    """Return *block* cleaned, and what of its end belongs to the next block."""
    if b"\0" in block:
        repairs.nul_bytes += block.count(b"\0")
        block = block.replace(b"\0", b"")
    block = _as_utf8(block, repairs)
    quoted = b'"' in block
    blank = SOME_BLANK_LINE.search(block) or BLANK_LINE.match(block)
    if quoted and (blank or not _well_quoted(separator).fullmatch(block)):
        return _reread(block.decode(), separator, repairs, last=last)
    return (BLANK_LINE.sub(b"", block) if blank else block), b""


def _as_utf8(block: bytes, repairs: Repairs) -> bytes:
    try:
        block.decode()
    except UnicodeDecodeError:
        repairs.lines_not_utf8 += sum(not _is_utf8(line) for line in block.split(b"\n"))
        return block.decode("utf-8", "greenlight-windows-1252").encode()
    return block


def _is_utf8(line: bytes) -> bool:
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    byte = error.object[error.start : error.start + 1]
    try:
        return byte.decode("cp1252"), error.start + 1
    except UnicodeDecodeError:
        return byte.decode("latin-1"), error.start + 1


codecs.register_error("greenlight-windows-1252", _windows_1252)


@lru_cache(maxsize=len(SEPARATORS))
def _well_quoted(separator: str) -> re.Pattern[bytes]:
    """Match text in which every quote opens or closes a whole cell."""
    mark = re.escape(separator.encode())
    return re.compile(rb'(?:[^"]*+(?<![^%b\n])"(?:[^"]++|"")*+"(?=[%b\r\n]|\Z))*+[^"]*+' % (mark, mark))


def _reread(text: str, separator: str, repairs: Repairs, *, last: bool) -> tuple[bytes, bytes]:
    """Write *text* anew, record by record; a quote that never closes, or closes in mid cell, becomes a character."""
    lines = re.split(r"(?<=\n)", text)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    place = 0
    while place < len(lines):
        if not lines[place].strip(" \t\r\n"):
            place += 1
            continue
        used, cells = _one_record(lines[place : place + LONGEST_RECORD_LINES], separator)
        if not cells and not last and place + LONGEST_RECORD_LINES > len(lines):
            break
        if not cells:
            repairs.broken_quotes += 1
            used, cells = 1, lines[place].rstrip("\r\n").split(separator)
        writer.writerow(cells)
        place += used
    return out.getvalue().encode(), "".join(lines[place:]).encode()


def _one_record(lines: Sequence[str], separator: str) -> tuple[int, list[str]]:
    """Return how many lines the first record takes and its cells; no cells if its quotes do not work out."""
    if '"' not in lines[0]:
        return 1, lines[0].rstrip("\r\n").split(separator)
    for used in range(1, len(lines) + 1):
        try:
            rows = list(csv.reader(lines[:used], delimiter=separator, strict=True))
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                continue
            return 0, []
        return used, rows[0]
    return 0, []
