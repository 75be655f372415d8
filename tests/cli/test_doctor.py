"""`embrm doctor`: what is there and what is missing."""

import json

from embrm.exceptions import MissingDependencyError


def test_it_lists_packages_and_the_default_encoder(run):
    """The JSON names every optional package with its extra."""
    result = run("doctor", "--json")
    values = json.loads(result.stdout)
    assert result.exit_code == 0
    assert values["ok"] is True
    assert {"torch", "lightgbm", "matplotlib"} <= {
        entry["package"] for entry in values["packages"]
    }
    names = [encoder["name"] for encoder in values["encoders"]]
    assert names == ["smollm2", "minilm"]
    default = values["encoder"]["fingerprint"]
    assert "SmolLM2-135M-Instruct" in default
    assert "mean over the response" in default
    assert "MiniLM" in values["encoders"][1]["fingerprint"]


def test_a_default_model_that_is_not_converted_yet_is_no_fault(
    run, monkeypatch, tmp_path
):
    """It says that it will be, and converts nothing."""
    monkeypatch.setenv("EMBRM_MODELS", str(tmp_path / "models"))
    result = run("doctor")
    assert "converted at its first use" in result.stdout
    assert not (tmp_path / "models").exists()


def test_people_get_a_table_with_the_fix(run, monkeypatch):
    """What is missing stands with the command that installs it."""
    monkeypatch.setattr(
        "embrm.cli.formats.OPTIONAL",
        [("no_such_module", ("no-such-package",), "ray", "scale-out")],
    )
    result = run("doctor")
    assert "pip install 'ray>=" in result.stdout


def test_an_unusable_default_encoder_exits_with_2(run, monkeypatch):
    """The reason is printed, not a traceback."""

    def missing():
        raise MissingDependencyError("expected weights; got none. Fix: install")

    monkeypatch.setattr("embrm.embed.model_files.smollm2_file", missing)
    result = run("doctor")
    assert result.exit_code == 2
    assert "not usable: expected weights" in result.stdout
