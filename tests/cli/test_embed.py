"""`embrm embed`: fill the cache."""

import json
import re
import sys

import pytest
import typer
from typer.testing import CliRunner

from embrm.cli.embed import EmbedCommand, embed, with_address
from embrm.embed.scale import embed_part


def test_the_second_run_embeds_nothing(run, prefs, tmp_path):
    """All items are found the second time, and the output says so."""
    command = ["embed", prefs, "--encoder", "hashing", "--cache", tmp_path, "--json"]
    first = json.loads(run(*command).stdout)["embedded"]
    second = json.loads(run(*command).stdout)["embedded"]
    assert (first["n_embedded"], first["n_hits"]) == (80, 0)
    assert (second["n_embedded"], second["n_hits"]) == (0, 80)


def test_a_cache_is_asked_for(run, prefs):
    """Embedding without keeping would be work for nothing."""
    result = run("embed", prefs, "--encoder", "hashing")
    assert result.exit_code == 2
    assert "Missing option '--cache'" in result.stderr


def test_people_get_the_read_report_and_the_counts(run, prefs, tmp_path):
    """Words on stdout: rows, items, hits."""
    result = run("embed", prefs, "--encoder", "hashing", "--cache", tmp_path)
    assert "40 kept" in result.stdout
    assert "80" in result.stdout


def test_parts_together_are_the_whole(run, prefs, tmp_path):
    """Each of three jobs embeds its part, and then nothing is missing."""
    command = ["embed", prefs, "--encoder", "hashing", "--cache", tmp_path, "--json"]
    parts = [
        json.loads(run(*command, "--shards", f"{n}/3").stdout)["embedded"]
        for n in (1, 2, 3)
    ]
    assert all(part["n_embedded"] > 0 for part in parts)
    assert sum(part["n_embedded"] for part in parts) == 80
    assert json.loads(run(*command).stdout)["embedded"]["n_embedded"] == 0


def test_a_part_reads_as_a_sentence(run, prefs, tmp_path):
    """People see the items of the part and its shards."""
    command = ["embed", prefs, "--encoder", "hashing", "--cache", tmp_path]
    words = run(*command, "--shards", "1/2").stdout
    assert re.search(r"40 items: 0 from the cache \(0%\), 40 embedded.*1 shards", words)


def test_a_part_that_is_not_one_is_a_usage_error(run, prefs, tmp_path):
    """It is found before the file is read."""
    result = run("embed", prefs, "--cache", tmp_path, "--shards", "0/3")
    assert result.exit_code == 2
    assert "count from 1" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        (["--ray", "local", "--shards", "1/2"], "leave one out"),
        (["--actors", 2], "add --ray"),
    ],
)
def test_contradictions_are_usage_errors(run, prefs, tmp_path, options, fix):
    """Ray and parts exclude each other; actors are Ray's."""
    result = run("embed", prefs, "--cache", tmp_path, *options)
    assert result.exit_code == 2
    assert fix in result.stderr


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        (["p", "--ray"], ["p", "--ray", "auto"]),
        (["--ray", "p.jsonl", "--json"], ["--ray", "auto", "p.jsonl", "--json"]),
        (["--ray", "--json"], ["--ray", "auto", "--json"]),
        (["--ray", "local"], ["--ray", "local"]),
        (["--ray", "head-0:6379", "p"], ["--ray", "head-0:6379", "p"]),
        (["--ray", "ray://head:10001"], ["--ray", "ray://head:10001"]),
        (["--ray=head:6379", "p"], ["--ray=head:6379", "p"]),
    ],
)
def test_the_address_may_be_left_out(given, completed):
    """A file's name after --ray is not taken for an address."""
    assert with_address(given) == completed


@pytest.mark.parametrize(
    ("option", "address"), [(["--ray"], None), (["--ray", "local"], "local")]
)
def test_ray_gets_address_and_actors(monkeypatch, prefs, tmp_path, option, address):
    """The command passes on what it was given, and prints the account."""
    asked = {}

    def embed_on_ray(texts, encoder, cache, **options):
        asked.update(options)
        return embed_part(texts, encoder, cache)

    monkeypatch.setattr("embrm.embed.scale.ray_run.embed_on_ray", embed_on_ray)
    app = typer.Typer()
    app.command(cls=EmbedCommand)(embed)
    command = [*option, str(prefs), "--actors", "3", "--encoder", "hashing"]
    result = CliRunner().invoke(app, [*command, "--cache", str(tmp_path)])
    assert "80 items: 0 from the cache (0%), 80 embedded" in result.stdout
    assert asked == {"address": address, "max_actors": 3}


def test_no_cluster_at_the_address_is_a_usage_error(run, prefs, tmp_path, monkeypatch):
    """Ray's complaint comes as one line with a fix."""

    class NoRay:
        def is_initialized(self):
            return False

        def init(self, **options):
            raise ConnectionError("nobody there")

    monkeypatch.setitem(sys.modules, "ray", NoRay())
    command = ["embed", prefs, "--encoder", "hashing", "--cache", tmp_path]
    result = run(*command, "--ray", "nowhere:1")
    assert result.exit_code == 2
    assert "nobody there" in result.stderr
    assert "ray start --head" in result.stderr


def test_without_ray_the_extra_is_named(run, prefs, tmp_path, monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ["embed", prefs, "--encoder", "hashing", "--cache", tmp_path]
    result = run(*command, "--ray", "local")
    assert result.exit_code == 2
    assert "embrm[ray]" in result.stderr
