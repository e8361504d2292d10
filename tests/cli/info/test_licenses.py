"""`deepclarity licenses`: every installed requirement and every set of weights is listed with a licence."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from deepclarity.cli.app import run
from deepclarity.models.weights import read_manifest

licenses = importlib.import_module("deepclarity.cli.commands.info.licenses")
PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_requirement_and_every_set_of_weights_has_a_licence(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        metadata.distribution("deepclarity")
    except metadata.PackageNotFoundError:
        pytest.skip("deepclarity is not installed, so there is no metadata")
    assert run(["licenses", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    libraries = {entry["name"].lower().replace("_", "-"): entry for entry in found if entry["kind"] == "library"}
    required = {re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert required <= libraries.keys()
    assert "ruff" not in libraries
    assert {entry["name"] for entry in found if entry["kind"] == "weights"} == set(read_manifest())
    assert [entry for entry in found if not entry["licence"] or entry["licence"] == "not stated"] == []
    assert [entry["licence"] for entry in found if entry["kind"] == "program"] == [PROJECT["license"]]
    bundled = {(entry["name"], entry["note"]): entry["licence"] for entry in found if entry["kind"] == "bundled"}
    assert bundled["x264", "in av"] == "GPL-2.0-or-later"


def test_the_list_for_people_names_the_gpl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    gpl = licenses.Licence("bundled", "x264", "-", "GPL-2.0-or-later", "in av")
    for found, said in ([], False), ([gpl], True):
        monkeypatch.setattr(licenses, "_libraries", lambda found=found: iter(found))
        assert run(["licenses"]) == 0
        printed = capsys.readouterr().out
        assert re.search(r"^  srgan +- +Apache-2.0  \(trained on", printed, re.MULTILINE)
        assert ("under the terms of the GPL" in printed) is said
