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
from typer.main import get_command
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


def test_the_options_in_the_bounds_table_exist():
    """Each is one of `embrm serve`."""
    known = CliRunner().invoke(command, ["serve", "--help"], terminal_width=200).stdout
    operation = (ROOT / "docs/serving/operation.md").read_text("utf-8")
    named = set(re.findall(r"`(--[a-z][a-z-]+)", operation))
    assert len(named) > 10
    assert all(option in known for option in named), named


@pytest.fixture
def manifest():
    """The objects of the Kubernetes example by kind, and its container."""
    text = (ROOT / "deploy/kubernetes.yaml").read_text("utf-8")
    objects = {one["kind"]: one for one in yaml.safe_load_all(text)}
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    return objects, container


@pytest.fixture
def options(manifest):
    """What the image's command and the pod's arguments mean to `embrm serve`."""
    text = (ROOT / "deploy/Containerfile").read_text("utf-8")
    program, name, *given = json.loads(re.search(r"ENTRYPOINT (.*)", text)[1])
    assert (program, name) == ("embrm", "serve")
    serve = get_command(command).commands["serve"]
    return serve.make_context(name, [*given, *manifest[1]["args"]]).params


def test_the_manifest_s_command_finds_what_the_pod_mounts(manifest, options):
    """Model, cache and key lie in volumes that are declared; the last is read-only."""
    objects, container = manifest
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert volumes == {mount["name"] for mount in mounts.values()}
    assert mounts[str(options["model_dir"])]["readOnly"]
    assert "readOnly" not in mounts[options["cache"]]
    assert mounts[str(options["api_key_file"].parent)]["readOnly"]
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"]
    assert pod["terminationGracePeriodSeconds"] > options["stop_timeout"]


def test_the_manifest_s_service_and_probes_reach_the_server(manifest, options, serve):
    """Ports agree; probes call by address without a key, clients by name with one."""
    objects, container = manifest
    (port,), (opened,) = objects["Service"]["spec"]["ports"], container["ports"]
    names = ["startupProbe", "readinessProbe", "livenessProbe"]
    probes = [container[name]["httpGet"] for name in names]
    reached = {port["targetPort"], opened["containerPort"], options["port"]}
    assert reached | {probe["port"] for probe in probes} == {8080}
    template = objects["Deployment"]["spec"]["template"]
    assert objects["Service"]["spec"]["selector"] == template["metadata"]["labels"]
    hosts, key = tuple(options["allow_host"]), {"authorization": "Bearer k"}
    client = serve(hosts=hosts, host=options["host"], token="k")  # noqa: S106
    for probe in probes:
        asked = client.get(probe["path"], headers={"host": "10.1.2.3:8080"})
        assert asked.status_code == 200
    service = objects["Service"]["metadata"]["name"]
    for name in (service, f"{service}.default.svc.cluster.local"):
        body = {"prompt": "Hi", "responses": ["Hello"]}
        asked = client.post("/v1/rewards", json=body, headers={"host": name, **key})
        assert asked.status_code == 200
    assert client.get("/metrics", headers={"host": service}).status_code == 401
    assert client.get("/health", headers={"host": "other"}).status_code == 403
