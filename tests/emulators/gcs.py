"""Stands in for Google Cloud Storage: no emulator enforces its conditions, checks a token or a digest.

It gives a token only for a service account's own signature, and refuses what the service refuses: another digest than
said, a generation that is not there any more, parts out of turn. Objects are described in JSON and read through the
XML API, the one that answers their bytes and metadata together. Run as a process of its own.
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import google_crc32c
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.emulators import Emulator, free_port, served
from tests.emulators.standin import Bucket, Handler, Refusal, StandIn, Stored, base64_of

ROOT = Path(__file__).parents[2]
BUCKET, PROJECT = "greenlight", "media"
WHO = f"publisher@{PROJECT}.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
# Of every service account's token, wherever it is asked for.
AUDIENCE = "https://oauth2.googleapis.com/token"
META = "x-goog-meta-"
PART_BYTES = 256 << 10


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Run a stand-in with one bucket, its service account's key and a stranger's of the same name."""
    port = free_port()
    right, wrong = account(folder / "right", port), account(folder / "wrong", port)
    command = [sys.executable, "-m", "tests.emulators.gcs", str(port), str(folder / "objects"), str(folder / "right")]
    with served(command, port, folder / "log", cwd=ROOT) as process:
        address = "gs://{bucket}?endpoint=http://127.0.0.1:{port}"
        yield Emulator(port, address, right, wrong, BUCKET, process)


def account(folder: Path, port: int) -> dict[str, str]:
    """Write a service account's file below *folder*; return the environment that leads there."""
    folder.mkdir(parents=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "public.der").write_bytes(key.public_key().public_bytes(serialization.Encoding.DER, form))
    about = {
        "type": "service_account",
        "project_id": PROJECT,
        "client_email": WHO,
        "token_uri": f"http://127.0.0.1:{port}/token",
    }
    (folder / "account.json").write_text(json.dumps({**about, "private_key": private.decode()}))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json")}


def stand_in(port: int, folder: Path, public: bytes) -> StandIn:
    """Return a server with one bucket which knows one service account by the public half of its key."""
    server = StandIn(Gcs, port, folder, key=serialization.load_der_public_key(public), tokens=set())
    server.make_bucket(BUCKET)
    return server


class Gcs(Handler):
    """The few calls of the JSON API that write and list, and the XML API's that read."""

    def refuse(self, refusal: Refusal) -> None:
        if re.match("/(storage|upload|token)", self.place):
            error = {"code": refusal.status, "message": refusal.message, "errors": [{"reason": refusal.code}]}
            return self.send(refusal.status, {"error": error})
        said = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
        self.send(refusal.status, said.encode(), {"Content-Type": "application/xml"})

    def route(self) -> None:
        if (self.command, self.place) == ("POST", "/token"):
            return self._give_token()
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.knows["tokens"]:
            raise Refusal(401, "authError", "Invalid Credentials")
        project = self.headers.get("x-goog-user-project", PROJECT)
        if project != PROJECT:
            raise Refusal(403, "forbidden", f"{WHO} may not use the project {project}")
        for command, pattern, answer in ROUTES:
            found = re.fullmatch(pattern, self.place)
            if found and command == self.command:
                self.bucket = self._bucket(unquote(found[1]))
                return answer(self, *(unquote(part) for part in found.groups()[1:]))
        raise Refusal(404, "notFound", f"{self.command} {self.place}")

    def _bucket(self, name: str) -> Bucket:
        if name not in self.server.buckets:
            code = "notFound" if self.place.startswith(("/storage", "/upload")) else "NoSuchBucket"
            raise Refusal(404, code, "The specified bucket does not exist.")
        return self.server.buckets[name]

    def _give_token(self) -> None:
        form = dict(parse_qsl(self.body().decode()))
        try:
            claims = verified(form["assertion"], self.server.knows["key"])
            wanted = {"iss": WHO, "scope": SCOPE, "aud": AUDIENCE}
            if wanted.items() - claims.items() or not claims["iat"] - 300 < time.time() < claims["exp"]:
                raise ValueError(f"the claims are {claims}, wanted {wanted} and a time near now")
        except (InvalidSignature, KeyError, ValueError) as error:
            said = {"error": "invalid_grant", "error_description": f"Invalid JWT Signature. {error}"}
            return self.send(400, said)
        token = uuid.uuid4().hex
        self.server.knows["tokens"].add(token)
        self.send(200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"})

    def get(self, key: str) -> None:
        """Answer an object, or only what is said of it."""
        stored = self._there(key)
        metadata = {META + name: said for name, said in stored.metadata.items()}
        size = {"x-goog-stored-content-length": stored.size}
        self.send_object(stored, {"x-goog-generation": stored.generation, **size, **metadata})

    def delete(self, key: str) -> None:
        """Remove an object."""
        with self.bucket.lock:
            self._condition(self.query)(self._there(key))
            del self.bucket.objects[key]
        self.send(204)

    def _there(self, key: str) -> Stored:
        if key not in self.bucket.objects:
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        return self.bucket.objects[key]

    def list_objects(self) -> None:
        """Answer one page of names in order; a token is the last name of the page before."""
        prefix, after = self.query.get("prefix", ""), self.query.get("pageToken", "")
        with self.bucket.lock:
            names = sorted(key for key in self.bucket.objects if key.startswith(prefix) and key > after)
        size = min(int(self.query.get("maxResults", 1000)), 1000)
        page: dict[str, Any] = {"kind": "storage#objects"}
        page |= {"items": [{"name": name} for name in names[:size]]} if names else {}
        self.send(200, page | ({"nextPageToken": names[size - 1]} if len(names) > size else {}))

    def upload(self) -> None:
        """Keep an object that comes at once, or begin an upload in parts."""
        if self.query.get("uploadType") == "resumable":
            return self._begin_upload()
        about, data = two_parts(self.body(), self.headers["Content-Type"])
        stored = self.bucket.spooled(iter([data]), metadata=about.get("metadata") or {})
        self._describe(about, self._published(about, stored, self.query))

    def _begin_upload(self) -> None:
        about = json.loads(self.body())
        self._condition(self.query)(self.bucket.objects.get(about["name"]))
        name = uuid.uuid4().hex
        self.bucket.uploads[name] = {"about": about, "asked": self.query, "parts": []}
        self.send(200, headers={"Location": f"http://{self.headers['Host']}{self.path}&upload_id={name}"})

    def upload_part(self) -> None:
        """Keep a part; after the last one the object is there."""
        upload = self.bucket.uploads.get(self.query.get("upload_id", ""))
        said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", self.headers.get("Content-Range", ""))
        if upload is None or not said:
            raise Refusal(404 if upload is None else 400, "invalid", "no such upload, or no range of it")
        first, last, size = map(int, said.groups())
        kept = sum(part.size for part in upload["parts"])
        if first == kept and (last + 1 == size or not (last + 1 - first) % PART_BYTES):
            upload["parts"].append(self.bucket.spooled(self.chunks()))
            kept = last + 1
        if kept < size:
            return self.send(308, headers={"Range": f"bytes=0-{kept - 1}"} if kept else {})
        about = upload["about"]
        # Whoever lost the answer sends the last part again.
        if "whole" not in upload:
            whole = self.bucket.spooled(bytes_of(upload["parts"]), metadata=about.get("metadata") or {})
            upload["whole"] = self._published(about, whole, upload["asked"])
        self._describe(about, upload["whole"])

    def _published(self, about: Mapping[str, Any], stored: Stored, asked: Mapping[str, str]) -> Stored:
        for name, found in (("md5Hash", lambda: stored.md5), ("crc32c", lambda: crc32c(stored))):
            if name in about and about[name] != base64_of(found()):
                said = f'Provided {name} "{about[name]}" doesn\'t match calculated {name} "{base64_of(found())}".'
                raise Refusal(400, "invalid", said)
        return self.bucket.publish(about["name"], stored, self._condition(asked))

    def _describe(self, about: Mapping[str, Any], stored: Stored) -> None:
        self.send(200, {"name": about["name"], "size": str(stored.size), "generation": str(stored.generation)})

    def _condition(self, asked: Mapping[str, str]) -> Callable[[Stored | None], None]:
        def check(there: Stored | None) -> None:
            wanted = asked.get("ifGenerationMatch")
            if wanted is not None and int(wanted) != (there.generation if there else 0):
                raise Refusal(412, "conditionNotMet", "At least one of the pre-conditions did not hold.")

        return check


ROUTES: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("GET", "/storage/v1/b/([^/]+)/o", Gcs.list_objects),
    ("DELETE", "/storage/v1/b/([^/]+)/o/([^/]+)", Gcs.delete),
    ("POST", "/upload/storage/v1/b/([^/]+)/o", Gcs.upload),
    ("PUT", "/upload/storage/v1/b/([^/]+)/o", Gcs.upload_part),
    ("GET", "/([^/]+)/(.+)", Gcs.get),
    ("HEAD", "/([^/]+)/(.+)", Gcs.get),
)


def verified(assertion: str, key: Any) -> dict[str, Any]:
    """Return the claims of a JWT which *key* has signed."""
    head, claims, signature = assertion.split(".")
    key.verify(unbase64(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return dict(json.loads(unbase64(claims)))


def unbase64(text: str) -> bytes:
    """Return the bytes of a part of a JWT, which comes without its padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def two_parts(body: bytes, kind: str) -> tuple[dict[str, Any], bytes]:
    """Return what is said of an object, and its bytes; a line ends with CR and LF and with nothing less."""
    boundary = re.fullmatch(r'multipart/related; boundary="([^"]+)"', kind)
    mark = b"--" + (boundary[1] if boundary else "").encode()
    found = re.fullmatch(
        rb"%b\r\n[^\r\n]+\r\n\r\n([^\r\n]*)\r\n%b\r\n[^\r\n]+\r\n\r\n(.*)\r\n%b--" % ((re.escape(mark),) * 3),
        body,
        re.DOTALL,
    )
    if not boundary or not found:
        raise Refusal(400, "badRequest", "Malformed multipart body.")
    return dict(json.loads(found[1])), found[2]


def bytes_of(parts: list[Stored]) -> Iterator[bytes]:
    """Yield the bytes of all parts."""
    for part in parts:
        with part.path.open("rb") as stream:
            yield from iter(lambda: stream.read(1 << 20), b"")


def crc32c(stored: Stored) -> bytes:
    """Return another checksum of an object."""
    found = google_crc32c.Checksum()
    for chunk in bytes_of([stored]):
        found.update(chunk)
    return bytes(found.digest())


if __name__ == "__main__":
    stand_in(int(sys.argv[1]), Path(sys.argv[2]), (Path(sys.argv[3]) / "public.der").read_bytes()).serve_forever()
