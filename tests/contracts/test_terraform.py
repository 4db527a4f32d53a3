"""The stores' infrastructure is in Terraform's own form and holds what a store relies on.

No provider can be downloaded where these tests run, so ``terraform validate`` is not among them.
"""

import re
import shutil
import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from tasks.adapters.store import OPENERS

FOLDER = Path(__file__).parents[2] / "infra" / "terraform"
CLOUDS = {"aws": "s3", "gcp": "gs", "azure": "az", "oci": "oci"}
FILES = sorted(FOLDER.rglob("*.tf"))
ATTRIBUTE = re.compile(r'( *)([\w"./-]+)( *)= (.*)')
OPENED, CLOSED = "{[(", "}])"
WANTED = {
    "aws": (
        "aws_s3_bucket_versioning",
        "aws_s3_bucket_object_lock_configuration",
        "abort_incomplete_multipart_upload",
        "aws_s3_bucket_public_access_block",
        "aws_iam_role",
        "s3:if-none-match",
    ),
    "gcp": ("versioning {", "AbortIncompleteMultipartUpload", "soft_delete_policy", "resource.name.startsWith"),
    "azure": ("versioning_enabled = true", "immutability_policy", "StringNotStartsWith", "azurerm_role_assignment"),
    "oci": ('versioning     = "Enabled"', "multipart-uploads", "target.object.name !=", "OBJECT_"),
}


def names(path):
    return path.relative_to(FOLDER).as_posix()


def code(line):
    """The line without what stands in quotes or in a comment."""
    return "" if line.lstrip().startswith("#") else re.sub(r'"(?:\\.|[^"\\])*"', '""', line)


def depths(lines):
    """How deep each line stands by its brackets; lines that close stand where the opening one does."""
    depth = 0
    for line in lines:
        kept = code(line)
        closes_first = len(kept.lstrip()) - len(kept.lstrip().lstrip(CLOSED))
        yield depth - bool(closes_first)
        opened = sum(kept.count(bracket) for bracket in OPENED) - sum(kept.count(bracket) for bracket in CLOSED)
        depth += (opened > 0) - (opened < 0)
    yield depth


def columns_of_equals(lines):
    """Groups of neighbouring attributes of one line each: where their ``=`` stand."""
    for is_attribute, group in groupby(lines, lambda line: bool(ATTRIBUTE.fullmatch(line)) and line[-1] not in OPENED):
        if is_attribute:
            yield [ATTRIBUTE.fullmatch(line).end(3) for line in group]


@pytest.mark.parametrize("path", FILES, ids=names)
def test_a_file_is_in_canonical_form(path):
    text = path.read_text()
    lines = text.splitlines()
    assert text.endswith("\n") and "\n\n\n" not in text and "\t" not in text
    assert not [line for line in lines if line != line.rstrip()]
    *inner, last = depths(lines)
    assert last == 0, "brackets do not match"
    wrong = [
        line for line, depth in zip(lines, inner, strict=True) if line and len(line) - len(line.lstrip()) != 2 * depth
    ]
    assert not wrong, "not two spaces for each bracket"
    for columns in columns_of_equals(lines):
        assert len(set(columns)) == 1, "equals signs are not aligned"


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_terraform_would_change_nothing():
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", "-recursive", FOLDER], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_misaligned_is_seen():
    assert list(columns_of_equals(["  a = 1", "  bb  = 2", "", "  c = ["])) == [[4, 6]]
    assert list(depths(["a {", "  b = [", "  ]", "}"])) == [0, 1, 1, 0, 0]
    assert list(depths(["a {"]))[-1] == 1


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_cloud_versions_gives_up_uploads_and_only_adds_to_the_ledger(cloud):
    text = (FOLDER / cloud / "main.tf").read_text()
    missing = [word for word in (*WANTED[cloud], '["ledger", "nonces"]', "required_providers") if word not in text]
    assert not missing


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_cloud_prints_an_address_that_can_be_opened(cloud):
    address = re.search(r'value += "(\w+)://', (FOLDER / cloud / "outputs.tf").read_text())
    assert address[1] == CLOUDS[cloud]
    assert address[1] in OPENERS


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_variable_is_described_and_used(cloud):
    declared = re.findall(r'variable "(\w+)" \{\n  description = "\S', (FOLDER / cloud / "variables.tf").read_text())
    used = "".join(path.read_text() for path in (FOLDER / cloud).glob("*.tf"))
    assert len(declared) == used.count('variable "') > 0
    assert not [name for name in declared if f"var.{name}" not in used]
