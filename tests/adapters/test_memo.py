import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tasks.adapters import memo
from tasks.adapters.blobs import blob_key, put_blob
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.memo import blobs_in, remember, stage_key
from tasks.adapters.provenance import code_digest, library_versions, source_digest
from tasks.adapters.signing import seal, service_signer
from tasks.core.digests import plain
from tasks.core.values import Blob, Interval, RuleResult, Scorecard


@dataclass(frozen=True)
class Made:
    rows: Blob
    numbers: tuple[float, ...]
    files: Mapping[str, Blob] = field(default_factory=dict)


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


def signer_of(store):
    return service_signer(store.root.parent / "keys")


class Stage:
    """Counts how often it was computed."""

    def __init__(self, store):
        self.store = store
        self.times = 0

    def __call__(self):
        self.times += 1
        return Made(put_blob(self.store, b"rows"), (1.0, float("nan")), {"a": put_blob(self.store, b"file")})

    def run(self, **inputs):
        return remember(self.store, signer_of(self.store), "channels", "ingest", inputs, Made, self)


@pytest.fixture
def stage(store):
    return Stage(store)


def the_file(store):
    (key,) = store.list("stages/")
    return store.local_path(key)


def test_a_stage_is_computed_once_for_the_same_inputs(stage):
    first, second = stage.run(source="abc"), stage.run(source="abc")
    assert (first.reused, second.reused, stage.times) == (False, True, 1)
    assert repr(first.value) == repr(second.value)
    assert stage.run(source="abd").reused is False


def test_other_code_computes_anew(stage, monkeypatch):
    stage.run(source="abc")
    monkeypatch.setattr(memo, "code_digest", lambda: "other")
    assert stage.run(source="abc").reused is False


def test_the_result_is_kept_with_its_inputs_under_the_stage(stage, store):
    stage.run(source="abc")
    assert list(store.list("stages/")) == [stage_key("channels", "ingest", {"source": "abc"})]
    kept = json.loads(the_file(store).read_bytes())
    assert kept["inputs"] == {"source": "abc"}
    assert json.loads(kept["value"])["numbers"] == [1.0, "NaN"]


def test_the_kept_bytes_are_the_same_on_every_run(stage, store):
    stage.run(source="abc")
    first = the_file(store).read_bytes()
    the_file(store).unlink()
    stage.run(source="abc")
    assert the_file(store).read_bytes() == first


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_a_cut_result_is_computed_anew_and_said(stage, store, caplog, keep):
    stage.run(source="abc")
    whole = the_file(store).read_bytes()
    the_file(store).write_bytes(whole[:keep])
    with caplog.at_level(logging.WARNING):
        assert stage.run(source="abc").reused is False
    assert "is computed anew: it cannot be read" in caplog.text
    assert the_file(store).read_bytes() == whole
    assert stage.run(source="abc").reused is True


def test_an_altered_result_is_computed_anew(stage, store, caplog):
    stage.run(source="abc")
    the_file(store).write_bytes(the_file(store).read_bytes().replace(b"[1.0,", b"[2.0,"))
    assert stage.run(source="abc").reused is False
    assert "changed after it was signed" in caplog.text


def test_a_result_a_stranger_signed_is_computed_anew(stage, store, tmp_path, caplog):
    key = stage_key("channels", "ingest", {"source": "abc"})
    stranger = service_signer(tmp_path / "stranger")
    invented = {"key": key, "inputs": {}, "code": "", "value": json.dumps(plain(stage()))}
    store.put(key, seal(stranger, memo.FORM, invented))
    assert stage.run(source="abc").reused is False
    assert "is computed anew" in caplog.text


def test_a_result_moved_to_another_stages_place_is_computed_anew(stage, store, caplog):
    stage.run(source="abc")
    kept = the_file(store).read_bytes()
    store.put(stage_key("channels", "ingest", {"source": "abd"}), kept)
    assert stage.run(source="abd").reused is False
    assert "it was kept as" in caplog.text


@pytest.mark.parametrize("content", [b"rows", b"file"])
def test_a_result_whose_blob_is_gone_or_cut_is_computed_anew(stage, store, caplog, content):
    stage.run(source="abc")
    blob = put_blob(store, content)
    store.delete(blob_key(blob.digest))
    assert stage.run(source="abc").reused is False
    assert f"the blob {blob.digest} of 4 bytes is gone" in caplog.text
    store.local_path(blob_key(blob.digest)).write_bytes(b"cut")
    assert stage.run(source="abc").reused is False
    assert store.local_path(blob_key(blob.digest)).read_bytes() == content


def test_a_result_kept_by_another_run_meanwhile_is_no_error(store):
    def slower():
        remember(store, signer_of(store), "channels", "count", {}, int, lambda: 3)
        return 3

    assert remember(store, signer_of(store), "channels", "count", {}, int, slower).value == 3


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 3),
        (dict[str, int], {"z": 1, "a": 2}),
        (str, "é"),
        (dict[str, int], {"a": 1}),
        (Interval, Interval(1.0, float("-inf"), float("inf"))),
        (tuple[RuleResult, ...], (RuleResult("r", "row", "info", "why", True),)),
        (Scorecard, Scorecard("t", "a", {"depth": 3, "rate": 0.1, "loss": "mae", "log": True}, "failed", "why")),
    ],
)
def test_a_value_comes_back_equal_and_of_the_same_types(store, kind, value):
    first = remember(store, signer_of(store), "channels", "x", {}, kind, lambda: value)
    again = remember(store, signer_of(store), "channels", "x", {}, kind, lambda: None)
    assert again.reused
    assert first.value == again.value == value
    assert repr(again.value) == repr(value)


def test_blobs_are_found_however_deep():
    blob = Blob("d", 1)
    assert list(blobs_in([{"a": (Made(blob, (), {"x": blob}), 1)}])) == [blob, blob]


def test_the_digest_of_the_code_follows_names_and_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("1")
    first = source_digest(tmp_path / "a")
    (tmp_path / "a" / "__pycache__").mkdir()
    (tmp_path / "a" / "__pycache__" / "x.pyc").write_text("compiled")
    assert source_digest(tmp_path / "a") == first
    (tmp_path / "a" / "page.css").write_text("body {}")
    assert source_digest(tmp_path / "a") != first
    (tmp_path / "a" / "page.css").unlink()
    (tmp_path / "a" / "x.py").rename(tmp_path / "a" / "y.py")
    assert source_digest(tmp_path / "a") != first


def test_the_digest_of_this_code_names_libraries():
    assert len(code_digest()) == 64
    assert code_digest() == code_digest()
    assert library_versions()["polars"] != "absent"
