"""Stands in for Oracle's object storage, which no emulator plays here: signatures, conditions, checksums and parts.

It refuses what the service refuses: a signature that does not fit, a date that is far off, a body with another digest,
a condition that does not hold. Run as a process of its own, so that what it holds is not the client's.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import re
import sys
import time
import uuid
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.emulators import Emulator, free_port, served
from tests.emulators.standin import Bucket, Handler, Refusal, StandIn, Stored, base64_of

ROOT = Path(__file__).parents[2]
NAMESPACE, BUCKET, REGION = "media", "greenlight", "us-ashburn-1"
TENANCY, USER = "ocid1.tenancy.oc1..aaaatest", "ocid1.user.oc1..aaaatest"
SKEW_SECONDS = 300
PAGE = 1000
META = "opc-meta-"
SIGNED = {"(request-target)", "host"}
SIGNED_WITH_BODY = SIGNED | {"content-length", "content-type", "x-content-sha256"}


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Run a stand-in with one bucket, its user's key and a stranger's."""
    right, wrong = profile(folder / "user"), profile(folder / "stranger")
    port = free_port()
    command = [sys.executable, "-m", "tests.emulators.oci", str(port), str(folder / "objects"), str(folder / "user")]
    with served(command, port, folder / "log", cwd=ROOT) as process:
        address = f"oci://{{bucket}}@{NAMESPACE}?endpoint=http://127.0.0.1:{{port}}"
        yield Emulator(port, address, right, wrong, BUCKET, process)


def profile(home: Path) -> dict[str, str]:
    """Write a key and the SDK's configuration below *home*; return the environment that leads there."""
    (home / ".oci").mkdir(parents=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (home / "key.pem").write_bytes(private)
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    (home / "public.der").write_bytes(der)
    values = {"user": USER, "tenancy": TENANCY, "fingerprint": fingerprint(der), "key_file": home / "key.pem"}
    lines = [f"{name}={value}" for name, value in {**values, "region": REGION}.items()]
    (home / ".oci" / "config").write_text("\n".join(["[DEFAULT]", *lines, ""]))
    return {"HOME": str(home)}


def fingerprint(public: bytes) -> str:
    """Return the name of a key as Oracle computes it: the MD5 of its public half."""
    return ":".join(re.findall("..", hashlib.md5(public, usedforsecurity=False).hexdigest()))


def stand_in(port: int, folder: Path, public: bytes) -> StandIn:
    """Return a server with one bucket which knows one user by the public half of a key."""
    key = serialization.load_der_public_key(public)
    server = StandIn(Oci, port, folder, keys={f"{TENANCY}/{USER}/{fingerprint(public)}": key})
    server.make_bucket(BUCKET)
    return server


class Oci(Handler):
    """``/n/NAMESPACE/b/BUCKET/{o,u}/KEY``: objects and uploads in parts."""

    def refuse(self, refusal: Refusal) -> None:
        self.send(
            refusal.status, {"code": refusal.code, "message": refusal.message}, {"opc-request-id": uuid.uuid4().hex}
        )

    def route(self) -> None:
        self._check_signature()
        found = re.fullmatch(r"/n/([^/]+)/b/([^/]+)/([ou])(?:/(.+)|/?)", self.place)
        if not found:
            raise Refusal(404, "NotFound", self.place)
        if found[1] != NAMESPACE:
            raise Refusal(404, "NamespaceNotFound", f"no namespace is called {found[1]}")
        self.bucket = self._bucket(unquote(found[2]))
        self.key = unquote(found[4] or "")
        kind = "list" if found[3] == "o" and not self.key else found[3]
        verbs = {"list": LIST, "o": OBJECTS, "u": UPLOADS}[kind]
        if self.command not in verbs:
            raise Refusal(405, "MethodNotAllowed", self.command)
        verbs[self.command](self)

    def _bucket(self, name: str) -> Bucket:
        try:
            return self.server.buckets[name]
        except KeyError:
            raise Refusal(
                404, "BucketNotFound", f"Either the bucket named '{name}' does not exist or you are not authorized"
            ) from None

    def _check_signature(self) -> None:
        scheme, _, said = self.headers.get("Authorization", "").partition(" ")
        values = dict(re.findall(r'(\w+)="([^"]*)"', said))
        key = self.server.knows["keys"].get(values.get("keyId"))
        if scheme.lower() != "signature" or key is None or values.get("algorithm") != "rsa-sha256":
            raise Refusal(401, "NotAuthenticated", "no signature of a known key")
        names = values.get("headers", "").split()
        streamed = self.command == "PUT" or self.command not in {"POST", "PATCH"}
        wanted = SIGNED if streamed else SIGNED_WITH_BODY
        if not wanted <= set(names) or not {"date", "x-date"} & set(names):
            raise Refusal(401, "NotAuthenticated", f"signed are {names}, wanted {sorted(wanted)} and a date")
        try:
            text = "\n".join(self._signed(name) for name in names).encode()
            key.verify(b64decode(values["signature"]), text, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            raise Refusal(401, "NotAuthenticated", "the signature does not fit") from None
        said_at = email.utils.parsedate_to_datetime(self.headers["x-date"] or self.headers["date"]).timestamp()
        if abs(said_at - time.time()) > SKEW_SECONDS:
            raise Refusal(401, "NotAuthenticated", f"the date is more than {SKEW_SECONDS} s off")

    def _signed(self, name: str) -> str:
        if name == "(request-target)":
            return f"{name}: {self.command.lower()} {self.path}"
        return f"{name}: {self.headers.get(name, '')}"

    def _json(self) -> dict[str, Any]:
        raw = self.body()
        if base64_of(hashlib.sha256(raw).digest()) != self.headers.get("x-content-sha256"):
            raise Refusal(401, "NotAuthenticated", "x-content-sha256 does not match the body")
        return dict(json.loads(raw))

    def _condition(self, there: Stored | None) -> None:
        match = self.headers.get("if-match")
        if self.headers.get("if-none-match") == "*" and there is not None:
            raise Refusal(412, "IfNoneMatchFailed", "the object already exists")
        if match is not None and (there is None or match.strip('"') != there.etag):
            raise Refusal(412, "IfMatchFailed", "the entity tag does not match")

    def _received(self, metadata: Mapping[str, str]) -> Stored:
        """Keep the body if it has the digests it is said to have."""
        if "Content-Length" not in self.headers:
            raise Refusal(411, "MissingContentLength")
        stored = self.bucket.spooled(self.chunks(), metadata=metadata)
        for header, code, digest in (
            ("content-md5", "UnmatchedContentMD5", stored.md5),
            ("opc-content-sha256", "UnmatchedContentSHA256", stored.sha256),
        ):
            said = self.headers.get(header)
            if said is not None and said != base64_of(digest):
                raise Refusal(400, code, f"the body has {base64_of(digest)}, {header} says {said}")
        return stored

    def list_objects(self) -> None:
        """Answer one page of names in order."""
        prefix, start = self.query.get("prefix", ""), self.query.get("start", "")
        with self.bucket.lock:
            names = sorted(key for key in self.bucket.objects if key.startswith(prefix) and key >= start)
        size = min(int(self.query.get("limit", PAGE)), PAGE)
        page: dict[str, Any] = {"objects": [{"name": name} for name in names[:size]], "prefixes": []}
        self.send(200, page | ({"nextStartWith": names[size]} if len(names) > size else {}))

    def put(self) -> None:
        """Keep an object, under the request's condition."""
        metadata = {name[len(META) :]: said for name, said in self.headers.items() if name.lower().startswith(META)}
        self._condition(self.bucket.objects.get(self.key))
        stored = self.bucket.publish(self.key, self._received(metadata), self._condition)
        self.send(200, headers={"etag": stored.etag, "opc-content-sha256": base64_of(stored.sha256)})

    def get(self) -> None:
        """Answer an object, or only what is said of it."""
        stored = self._there()
        described: dict[str, Any] = {META + name: said for name, said in stored.metadata.items()}
        if not stored.parts:
            described |= {"content-md5": base64_of(stored.md5), "opc-content-sha256": base64_of(stored.sha256)}
        modified = email.utils.formatdate(stored.modified, usegmt=True)
        self.send_object(stored, {"etag": stored.etag, "last-modified": modified, **described})

    def delete(self) -> None:
        """Remove an object."""
        with self.bucket.lock:
            self._condition(self._there())
            del self.bucket.objects[self.key]
        self.send(204)

    def _there(self) -> Stored:
        if self.key not in self.bucket.objects:
            raise Refusal(404, "ObjectNotFound", f"The object '{self.key}' was not found")
        return self.bucket.objects[self.key]

    def upload(self) -> None:
        """Begin an upload in parts, or put its parts together."""
        said = self._json()
        if self.key:
            return self._commit(said["partsToCommit"])
        metadata = {name.removeprefix(META): value for name, value in (said.get("metadata") or {}).items()}
        name = uuid.uuid4().hex
        self.bucket.uploads[name] = {"key": said["object"], "metadata": metadata, "parts": {}}
        made = {"namespace": NAMESPACE, "bucket": BUCKET, "object": said["object"], "uploadId": name}
        self.send(200, made | {"timeCreated": "2026-01-01T00:00:00Z"})

    def upload_part(self) -> None:
        """Keep a part."""
        stored = self._received({})
        self._upload()["parts"][int(self.query["uploadPartNum"])] = stored
        self.send(200, headers={"etag": stored.etag, "opc-content-sha256": base64_of(stored.sha256)})

    def uploads(self) -> None:
        """Answer the uploads that nobody finished or gave up."""
        self.send(200, [{"uploadId": name, "object": upload["key"]} for name, upload in self.bucket.uploads.items()])

    def give_up(self) -> None:
        """Forget an upload."""
        self._upload()
        del self.bucket.uploads[self.query["uploadId"]]
        self.send(204)

    def _upload(self) -> dict[str, Any]:
        upload = self.bucket.uploads.get(self.query.get("uploadId", ""))
        if upload is None or upload["key"] != self.key:
            raise Refusal(404, "NoSuchUpload", "there is no such upload of this object")
        return dict(upload)

    def _commit(self, wanted: list[dict[str, Any]]) -> None:
        upload = self._upload()
        parts = [upload["parts"].get(part["partNum"]) for part in sorted(wanted, key=lambda part: part["partNum"])]
        if not parts or any(part is None or part.etag not in {one["etag"] for one in wanted} for part in parts):
            raise Refusal(400, "InvalidUploadPart", "a part is missing, or is another one")
        whole = self.bucket.spooled(_bytes_of(parts), metadata=upload["metadata"], parts=len(parts))
        stored = self.bucket.publish(self.key, whole, self._condition)
        del self.bucket.uploads[self.query["uploadId"]]
        digest = base64_of(hashlib.sha256(b"".join(part.sha256 for part in parts)).digest())
        self.send(200, headers={"etag": stored.etag, "opc-multipart-sha256": f"{digest}-{len(parts)}"})


LIST = {"GET": Oci.list_objects}
OBJECTS = {"PUT": Oci.put, "GET": Oci.get, "HEAD": Oci.get, "DELETE": Oci.delete}
UPLOADS = {"GET": Oci.uploads, "POST": Oci.upload, "PUT": Oci.upload_part, "DELETE": Oci.give_up}


def _bytes_of(parts: list[Stored]) -> Iterator[bytes]:
    for part in parts:
        with part.path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                yield chunk


if __name__ == "__main__":
    stand_in(int(sys.argv[1]), Path(sys.argv[2]), (Path(sys.argv[3]) / "public.der").read_bytes()).serve_forever()
