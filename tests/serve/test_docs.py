"""Every curl line and Python example of the documentation works as it stands."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from embrm.cli.app import app as command
from embrm.serve.app import create_app
from tests.serve.stubs import lengths_model

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "serving").glob("*.md"))
WRITTEN = "http://localhost:8080"


@pytest.fixture
def url(running):
    return running(create_app(lengths_model()))


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_curl_lines_and_python_examples_work(page, url, tmp_path):
    """The URL put in place of the written one, nothing else."""
    tried = 0
    for line in "".join(blocks(page, "console")).splitlines():
        if line.startswith("curl "):
            arguments = shlex.split(line.replace(WRITTEN, url))
            done = subprocess.run(
                [*arguments, "--silent", "--fail-with-body"],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            json.loads(done.stdout)
            tried += 1
    for code in blocks(page, "python"):
        done = subprocess.run(
            [sys.executable, "-c", code.replace(WRITTEN, url)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
        tried += 1
    assert tried


def test_every_page_is_listed_in_the_overview():
    """And every link leads somewhere."""
    text = (ROOT / "docs/serving/README.md").read_text("utf-8")
    for page in PAGES:
        assert page.stem == "README" or f"({page.name})" in text
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_options_in_the_deployment_examples_exist():
    """The container's command and Kubernetes' arguments, and the bounds' table."""
    known = CliRunner().invoke(command, ["serve", "--help"], terminal_width=200).stdout
    container = (ROOT / "deploy/Containerfile").read_text("utf-8")
    entry = json.loads(re.search(r"ENTRYPOINT (.*)", container)[1])
    documents = list(
        yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text("utf-8"))
    )
    (pod,) = documents[0]["spec"]["template"]["spec"]["containers"]
    operation = (ROOT / "docs/serving/operation.md").read_text("utf-8")
    named = set(
        re.findall(r"--[a-z][a-z-]+", " ".join([*entry, *pod["args"], operation]))
    )
    assert named
    assert all(option in known for option in named), named
    assert [document["kind"] for document in documents] == ["Deployment", "Service"]
