"""What a bundle is, on paper: which files with which digests, for what, from what. Its own digest is its version.

Reading, writing and signing it belongs to the adapters.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePosixPath

from tasks.core.digests import digest_of
from tasks.core.values import Blob
from tasks.errors import BadRequest

FORMAT = 1
VERSION_DIGITS = 12
PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".dill", ".cloudpickle"})
PICKLE_PROTOCOLS = frozenset({2, 3, 4, 5})


@dataclass(frozen=True)
class About:
    """What the publisher says of a bundle: the targets it answers, digests of all it came from, free labels."""

    targets: tuple[str, ...]
    lineage: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A bundle's table of contents."""

    workload: str
    kind: str
    format: int
    targets: tuple[str, ...]
    files: Mapping[str, Blob]
    lineage: Mapping[str, str]
    labels: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The sha256 of the manifest's canonical JSON."""
        return digest_of(self)

    @property
    def version(self) -> str:
        """The bundle's name: the first digits of its digest."""
        return self.digest[:VERSION_DIGITS]


def manifest_of(workload: str, about: About, files: Mapping[str, Blob]) -> Manifest:
    """Return the manifest of a bundle of *files*; raises BadRequest for a path that would leave its folder."""
    for path in files:
        checked_path(path)
    _no_file_is_a_folder(files)
    ordered = {path: files[path] for path in sorted(files)}
    return Manifest(workload, "bundle", FORMAT, about.targets, ordered, about.lineage, about.labels)


def checked_path(path: str) -> str:
    """Return *path* if it names a file inside a bundle on any system, else raise BadRequest."""
    names = path.split("/")
    bad = any(name in ("", ".", "..") or len(name.encode("utf-8", "surrogatepass")) > 255 for name in names)
    if bad or len(path) > 512 or any(ord(letter) < 32 or letter in '\\:*?"<>|' for letter in path):
        raise BadRequest(
            f"{path!r} cannot be a file of a bundle: wanted is a relative path with '/' between plain names, "
            "at most 512 characters, without '..', control characters and \\ : * ? \" < > |"
        )
    return path


def refuse_pickle(path: str, content: bytes) -> None:
    """Raise BadRequest if the file is a pickle by name, by its first bytes, or as a member of a zip archive."""
    found = pickle_in(path, content)
    if found:
        raise BadRequest(
            f"{path} may not be part of a bundle: {found}, and opening a pickle runs whatever its author wrote; "
            "save scikit-learn as skops, XGBoost as ubj, CatBoost as cbm, torch as safetensors"
        )


def pickle_in(path: str, content: bytes) -> str:
    """Say where a pickle is in the file, empty if there is none."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in PICKLE_SUFFIXES:
        return f"its suffix {suffix} is one of pickled files"
    if starts_pickle(content):
        return f"it begins like a pickle of protocol {content[1]}"
    if content[:4] == b"PK\x03\x04":
        return _pickle_in_zip(content)
    return ""


def starts_pickle(content: bytes) -> bool:
    """Say whether bytes begin like a pickle of protocol 2 to 5.

    A safetensors file begins with the length of its header as eight little-endian bytes, which can be 80 02 00 …; in
    a pickle the third byte is an opcode and never zero.
    """
    return len(content) > 2 and content[0] == 0x80 and content[1] in PICKLE_PROTOCOLS and content[2] != 0


def _pickle_in_zip(content: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for member in archive.infolist():
                if PurePosixPath(member.filename).suffix.lower() in PICKLE_SUFFIXES:
                    return f"it is an archive with the pickled file {member.filename}"
                with archive.open(member) as stream:
                    if starts_pickle(stream.read(3)):
                        return f"it is an archive and its member {member.filename} begins like a pickle"
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        return f"it is an archive that cannot be looked into ({error})"
    return ""


def _no_file_is_a_folder(files: Mapping[str, Blob]) -> None:
    for path in files:
        parents = {str(parent) for parent in PurePosixPath(path).parents}
        clash = sorted(parents & set(files))
        if clash:
            raise BadRequest(f"{clash[0]!r} is a file of the bundle and the folder of {path!r}; rename one of them")
