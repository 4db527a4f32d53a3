import io
import pickle
import zipfile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.adapters.blobs import blob_key, put_blob
from tasks.adapters.bundles import bundle_key, fetch_bundle, open_bundle, publish, read_manifest
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import Signer, service_signer, trusted_keys
from tasks.core.manifest import About
from tasks.errors import BadRequest, HomeDamaged, NotTrusted

ABOUT = About(("growth",), {"snapshot": "s" * 64}, {"semantic_version": "1.0.0"})
FILES = {"models/growth.ubj": b"{model", "card.md": b"# Card", "golden/rows.parquet": b"PAR1rows"}


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def signer(keys):
    return service_signer(keys)


@pytest.fixture
def trust(keys, signer):
    return trusted_keys(keys)


def published(store, signer, files=FILES):
    return publish(store, signer, "channels", files, ABOUT)


def everything(store):
    return {key: store.local_path(key).read_bytes() for key in store.list("")}


def test_a_bundle_opens_to_what_was_published(store, signer, trust):
    challenger = published(store, signer)
    bundle = open_bundle(store, trust, "channels", challenger.version)
    assert {path: bundle.read(path) for path in bundle.manifest.files} == FILES
    assert bundle.path("card.md").read_bytes() == b"# Card"
    assert bundle.challenger == challenger
    assert bundle.manifest.lineage == ABOUT.lineage
    assert bundle.manifest.labels == {"semantic_version": "1.0.0"}


def test_the_version_is_the_beginning_of_the_manifests_digest(store, signer):
    challenger = published(store, signer)
    assert challenger.manifest_digest.startswith(challenger.version)
    assert len(challenger.version) == 12
    assert store.head(bundle_key("channels", challenger.version))


def test_publishing_the_same_again_changes_nothing(store, signer):
    first = published(store, signer)
    before = everything(store)
    assert published(store, signer, dict(reversed(FILES.items()))) == first
    assert everything(store) == before


def test_bytes_files_and_blobs_give_the_same_bundle(store, signer, tmp_path):
    (tmp_path / "card").write_bytes(FILES["card.md"])
    mixed = {**FILES, "card.md": tmp_path / "card", "models/growth.ubj": put_blob(store, b"{model")}
    assert published(store, signer, mixed) == published(store, signer)


def test_another_byte_is_another_version(store, signer):
    assert published(store, signer) != published(store, signer, {**FILES, "card.md": b"# card"})


def test_a_second_version_stores_only_what_changed(store, signer):
    published(store, signer)
    before = set(store.list("blobs/"))
    published(store, signer, {**FILES, "card.md": b"# Other"})
    assert len(set(store.list("blobs/")) - before) == 1


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_flipped_byte_in_any_file_is_refused_before_anything_is_read(store, signer, trust):
    challenger = published(store, signer)
    for key in list(store.list("blobs/")):
        whole = store.local_path(key).read_bytes()
        flip(store.local_path(key))
        with pytest.raises(HomeDamaged, match=f"of the bundle channels/{challenger.version} is damaged"):
            open_bundle(store, trust, "channels", challenger.version)
        store.local_path(key).write_bytes(whole)
    assert open_bundle(store, trust, "channels", challenger.version)


def test_a_missing_file_is_named_by_its_path(store, signer, trust):
    challenger = published(store, signer)
    store.delete(blob_key(put_blob(store, FILES["card.md"]).digest))
    with pytest.raises(HomeDamaged, match=r"card\.md of the bundle .* it is gone"):
        open_bundle(store, trust, "channels", challenger.version)


def test_no_byte_of_the_manifest_can_be_changed(store, signer, trust):
    challenger = published(store, signer)
    path = store.local_path(bundle_key("channels", challenger.version))
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises((NotTrusted, HomeDamaged)):
            read_manifest(store, trust, "channels", challenger.version)


@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_cut_manifest_is_refused_and_publishing_mends_it(store, signer, trust, keep):
    challenger = published(store, signer)
    path = store.local_path(bundle_key("channels", challenger.version))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(HomeDamaged, match=f"bundles/channels/{challenger.version}.json is truncated or garbled"):
        open_bundle(store, trust, "channels", challenger.version)
    assert published(store, signer) == challenger
    assert open_bundle(store, trust, "channels", challenger.version)


def test_a_bundle_signed_by_a_stranger_is_refused(store, trust):
    challenger = published(store, Signer(Ed25519PrivateKey.generate()))
    with pytest.raises(NotTrusted, match="which is none of the 1 trusted"):
        open_bundle(store, trust, "channels", challenger.version)


def test_a_bundle_put_in_the_place_of_another_is_refused(store, signer, trust):
    one, two = published(store, signer), published(store, signer, {"card.md": b"two"})
    store.put(bundle_key("channels", one.version), store.local_path(bundle_key("channels", two.version)))
    with pytest.raises(NotTrusted, match="it was put in another's place"):
        open_bundle(store, trust, "channels", one.version)
    store.put(bundle_key("tracks", two.version), store.local_path(bundle_key("channels", two.version)))
    with pytest.raises(NotTrusted, match="wanted tracks/"):
        open_bundle(store, trust, "tracks", two.version)


def test_a_missing_bundle_is_named(store, trust):
    with pytest.raises(HomeDamaged, match=r"bundles/channels/0123\.json is gone"):
        open_bundle(store, trust, "channels", "0123")


def test_a_file_the_bundle_does_not_have_is_named(store, signer, trust):
    bundle = open_bundle(store, trust, "channels", published(store, signer).version)
    with pytest.raises(BadRequest, match=r"has no file 'x'; it has card\.md"):
        bundle.read("x")


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("m.pkl", b""),
        ("m.PKL", b""),
        ("m.joblib", b"x"),
        ("m.pt", b"x"),
        *((f"protocol{each}.bin", pickle.dumps({"a": 1}, each)) for each in (2, 3, 4, 5)),
        ("model.skops", zipped(data__pkl=b"")),
        ("model.skops", zipped(inner=pickle.dumps([1]))),
        ("model.skops", b"PK\x03\x04 not really an archive"),
    ],
)
def test_no_pickle_is_ever_published(store, signer, path, content):
    with pytest.raises(BadRequest, match="may not be part of a bundle"):
        published(store, signer, {path: content})
    assert list(store.list("bundles/")) == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("model.skops", zipped(schema__json=b"{}")),
        # A safetensors header of 640 bytes: its length begins like a pickle of protocol 2, its third byte is zero.
        ("model.safetensors", (640).to_bytes(8, "little") + b"{" + b" " * 639),
        ("model.cbm", b"CBM1"),
        ("empty.txt", b""),
    ],
)
def test_what_is_no_pickle_may_be_published(store, signer, path, content):
    assert published(store, signer, {path: content})


@pytest.mark.parametrize("path", ["/a", "../a", "a/../b", "", "a//b", "a\\b", "C:a", "a\n", "manifest.json", "a/", "."])
def test_a_path_that_leaves_the_bundle_is_refused(store, signer, path):
    with pytest.raises(BadRequest):
        published(store, signer, {path: b""})


def test_a_file_may_not_be_a_folder_too(store, signer):
    with pytest.raises(BadRequest, match="'a' is a file of the bundle and the folder of 'a/b'"):
        published(store, signer, {"a": b"", "a/b": b""})


def test_fetching_copies_the_whole_bundle_once(store, signer, trust, tmp_path):
    challenger = published(store, signer)
    for _ in range(2):
        fetch_bundle(store, trust, "channels", challenger.version, tmp_path / "to")
    found = {path.relative_to(tmp_path / "to").as_posix() for path in (tmp_path / "to").rglob("*") if path.is_file()}
    assert found == {*FILES, "manifest.json"}
    assert (tmp_path / "to" / "card.md").read_bytes() == b"# Card"


def test_fetching_a_damaged_bundle_leaves_nothing(store, signer, trust, tmp_path):
    challenger = published(store, signer)
    flip(store.local_path(blob_key(put_blob(store, FILES["golden/rows.parquet"]).digest)))
    with pytest.raises(HomeDamaged):
        fetch_bundle(store, trust, "channels", challenger.version, tmp_path / "there" / "to")
    assert list((tmp_path / "there").iterdir()) == []


def test_fetching_into_a_folder_with_something_else_is_refused(store, signer, trust, tmp_path):
    challenger = published(store, signer)
    fetch_bundle(store, trust, "channels", challenger.version, tmp_path / "to")
    (tmp_path / "to" / "card.md").write_text("mine")
    with pytest.raises(BadRequest, match="is not empty and does not hold the bundle"):
        fetch_bundle(store, trust, "channels", challenger.version, tmp_path / "to")
    assert (tmp_path / "to" / "card.md").read_text() == "mine"
