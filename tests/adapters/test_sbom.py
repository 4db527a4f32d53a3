"""The list of what is installed: CycloneDX as its specification asks, and one environment gives one list."""

import json
import os
import subprocess
import sys
from importlib.metadata import PathDistribution, version
from pathlib import Path

import pytest

from tasks.adapters.sbom import bill_of_materials, component_of

ROOT = Path(__file__).parents[2]
METADATA = "Metadata-Version: 2.1\nName: Media_Kit\nVersion: 1.0+cpu\n{}\n\nLicense: of the description\n"
TYPES = {"application", "library", "platform"}


@pytest.fixture(scope="module")
def bom():
    return json.loads(bill_of_materials())


def installed(folder, licence="", record="media_kit/a.py,sha256=abc,3\n"):
    """Return a library as an installer leaves it."""
    folder = folder / "media_kit-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(METADATA.format(licence))
    (folder / "RECORD").write_text(record)
    return PathDistribution(folder)


def test_it_has_every_field_the_specification_requires(bom):
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.6", 1)
    everything = [bom["metadata"]["component"], *bom["components"]]
    assert all(each["type"] in TYPES and each["name"] for each in everything)
    references = [each["bom-ref"] for each in everything]
    assert len(set(references)) == len(references)
    known = {"type", "name", "version", "bom-ref", "purl", "licenses", "properties"}
    assert not [each for each in everything if each.keys() - known]
    for licences in (each["licenses"] for each in everything if "licenses" in each):
        assert [*licences[0]] == ["expression"] or all([*each] == ["license"] for each in licences)


def test_it_names_what_decides_numbers_with_version_and_licence(bom):
    found = {each["name"]: each for each in bom["components"]}
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"]["purl"] == f"pkg:pypi/numpy@{version('numpy')}"
    assert found["polars"]["licenses"] and found["polars"]["properties"][0]["name"].endswith("sha256")
    assert bom["metadata"]["component"]["name"] == "greenlight"
    assert "greenlight" not in found


def test_it_has_no_serial_number_and_no_time(bom):
    assert bom.keys() == {"bomFormat", "specVersion", "version", "metadata", "components"}
    assert bom["metadata"].keys() == {"component"}


def test_another_process_makes_the_same_list():
    code = "import sys; from tasks.adapters.sbom import bill_of_materials; sys.stdout.buffer.write(bill_of_materials())"
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd="/", env=environment, capture_output=True, check=True)
    assert done.stdout == bill_of_materials()


@pytest.mark.parametrize(
    ("said", "licences"),
    [
        ("License-Expression: MIT OR Apache-2.0", [{"expression": "MIT OR Apache-2.0"}]),
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License", [{"license": {"name": "MIT License"}}]),
        ("License: BSD \r", [{"license": {"name": "BSD"}}]),
        ("Classifier: Topic :: Software Development", None),
    ],
)
def test_a_library_is_listed_under_its_own_name_and_licence(tmp_path, said, licences):
    component = component_of(installed(tmp_path, said))
    assert component["name"] == "Media_Kit"
    assert component["purl"] == component["bom-ref"] == "pkg:pypi/media-kit@1.0%2Bcpu"
    assert component.get("licenses") == licences


def test_what_differs_between_two_machines_does_not_count_and_what_is_installed_does(tmp_path):
    of_the_machine = "../../../bin/kit,sha256={0},3\nmedia_kit-1.0.dist-info/INSTALLER,sha256={0},3\nkit/b.pyc,,\n"
    own = "media_kit/a.py,sha256=abc,3\n"
    one, two = (installed(tmp_path / name, record=own + of_the_machine.format(name)) for name in ("one", "two"))
    altered = installed(tmp_path / "three", record=own.replace("abc", "abd"))
    assert component_of(one) == component_of(two)
    assert component_of(one)["properties"] != component_of(altered)["properties"]


def test_a_folder_that_only_looks_like_a_library_is_passed_over(tmp_path):
    (tmp_path / "broken.dist-info").mkdir()
    assert component_of(PathDistribution(tmp_path / "broken.dist-info")) is None
