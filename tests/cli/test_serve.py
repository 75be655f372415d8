"""`embrm serve`: what it prints, refuses, and how it ends."""

import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import psutil
import pytest

from embrm import RewardModel, save_model
from embrm.embed.cache import VectorCache


@pytest.fixture(scope="module")
def model(prefs, tmp_path_factory):
    """A saved model on hashed words."""
    directory = tmp_path_factory.mktemp("served") / "model"
    return save_model(RewardModel("hashing:64").fit(prefs), directory)


class Served:
    """A server in a process of its own."""

    def __init__(self, *arguments):
        code = "from embrm.cli import main; main()"
        options = ["--port", "0", "--json", *map(str, arguments)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "serve", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": "error"},
        )
        self.said = json.loads(self.process.stdout.readline())
        self.port = int(self.said["url"].rpartition(":")[2])

    def post(self, path, body, **headers):
        return self.ask("POST", path, json.dumps(body), headers)

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        kind = {"content-type": "application/json"}
        connection.request(method, path, body, kind | (headers or {}))
        response = connection.getresponse()
        raw = response.read()
        connection.close()
        return response.status, raw

    def stop(self, sent=signal.SIGTERM):
        self.process.send_signal(sent)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@pytest.fixture
def served():
    with ExitStack() as stack:

        def start(*arguments):
            server = Served(*arguments)
            stack.callback(lambda: server.process.poll() is None and server.stop())
            return server

        yield start


BODY = {"prompt": "question 1", "responses": ["good answer 1", "bad reply 1"]}


def test_it_prints_a_curl_line_that_works_and_each_trainer_s_url(served, model):
    """And ends with 0 at SIGTERM."""
    server = served(model)
    done = subprocess.run(
        shlex.split(server.said["curl"]), capture_output=True, check=True, text=True
    )
    assert [row["index"] for row in json.loads(done.stdout)["data"]] == [0, 1]
    assert server.said["trainers"]["OpenRLHF"].endswith("/get_reward")
    assert "/get_reward" in server.process.stderr.readline() + "".join(
        server.process.stderr.readline() for _ in range(3)
    )
    code, errors = server.stop()
    assert (code, "Traceback" in errors) == (0, False)


def test_sigterm_finishes_what_is_in_flight_and_commits_the_cache(
    served, model, tmp_path
):
    """The request is answered, and its vectors are on disk."""
    server = served(model, "--cache", tmp_path / "cache", "--window", "1500")
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(server.post("/v1/rewards", BODY))
    )
    asking.start()
    time.sleep(0.7)
    code, _ = server.stop()
    asking.join()
    assert (code, answers[0][0]) == (0, 200)
    (store,) = VectorCache(tmp_path / "cache").stores()
    assert (store.n_rows, store.n_segments) == (2, 1)


def test_a_kill_loses_no_committed_vector(served, model, tmp_path):
    """Commits follow within seconds; what they wrote stays."""
    cache = VectorCache(tmp_path / "cache")
    server = served(model, "--cache", cache.directory)
    assert server.post("/v1/rewards", BODY)[0] == 200
    until = time.monotonic() + 20
    while (
        not [one for one in cache.stores() if one.n_rows] and time.monotonic() < until
    ):
        time.sleep(0.1)
    server.process.kill()
    server.process.communicate()
    assert [store.n_rows for store in cache.stores()] == [2]


def test_several_workers_answer_for_each_other(served, model, tmp_path):
    """One port, one cache, one set of counters; SIGTERM ends all with 0."""
    server = served(model, "--workers", "2", "--cache", tmp_path / "cache")
    rewards = set()
    for _ in range(20):
        status, raw = server.post("/v1/rewards", BODY)
        assert status == 200
        rewards.add(tuple(row["reward"] for row in json.loads(raw)["data"]))
    assert len(rewards) == 1
    text = server.ask("GET", "/metrics")[1].decode()
    assert 'route="/v1/rewards",status="200"} 20.0' in text
    assert server.stop()[0] == 0


def test_workers_end_when_their_supervisor_is_killed(served, model):
    """kill -9 of the command frees the port within seconds."""
    server = served(model, "--workers", "2")
    assert server.post("/v1/rewards", BODY)[0] == 200
    server.process.kill()
    until = time.monotonic() + 15
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except ConnectionRefusedError:
            break
        time.sleep(0.2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 1)
    server.process.communicate(timeout=5)


def test_a_replacement_that_cannot_start_stops_the_server(served, model, tmp_path):
    """The model was removed meanwhile: an error that says so, and no endless loop."""
    moved = shutil.copytree(model, tmp_path / "model")
    server = served(moved, "--workers", "2")
    assert server.post("/v1/rewards", BODY)[0] == 200
    shutil.rmtree(moved)
    # multiprocessing has a process besides the workers.
    worker = max(psutil.Process(server.process.pid).children(), key=lambda p: p.pid)
    worker.kill()
    _, errors = server.process.communicate(timeout=60)
    assert server.process.returncode == 2
    assert "a worker cannot start: IntegrityError" in errors
    assert "expected workers that start" in errors
    assert "Traceback" not in errors


def test_a_token_is_needed_where_a_file_holds_one_and_is_never_logged(
    served, model, tmp_path
):
    """401 without it."""
    (tmp_path / "key").write_text("t0ken\n")
    server = served(model, "--api-key-file", tmp_path / "key")
    assert server.post("/v1/rewards", BODY)[0] == 401
    assert server.post("/v1/rewards", BODY, authorization="Bearer t0ken")[0] == 200
    assert server.ask("GET", "/health")[0] == 200
    assert "t0ken" not in server.stop()[1] + json.dumps(server.said)


def test_control_characters_do_not_reach_the_log(served, model):
    """Paths and headers come from anyone."""
    server = served(model)
    server.ask("GET", "/%1b[2J%0aforged", headers={"x": "y\x1b[31m"})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.sock = None
    connection.connect()
    connection.sock.sendall(b"GET /\x1b[2J HTTP/1.1\r\n\r\n")
    connection.sock.recv(100)
    connection.close()
    errors = server.stop()[1]
    assert "\x1b" not in errors
    assert "forged" not in errors


def test_a_damaged_model_is_not_served(run, model, tmp_path):
    """Integrity, exit code 4."""
    copy = tmp_path / "model"
    copy.mkdir()
    for path in model.iterdir():
        data = path.read_bytes()
        (copy / path.name).write_bytes(
            data[:-1] + b"x" if path.suffix == ".safetensors" else data
        )
    result = run("serve", copy, "--port", "0")
    assert result.exit_code == 4
    assert "checksum" in result.stderr


def test_a_cache_that_cannot_be_opened_is_not_served_with(run, model, tmp_path):
    """It was taken, and then every request failed."""
    (tmp_path / "file").write_text("x")
    result = run("serve", model, "--port", "0", "--cache", tmp_path / "file")
    assert result.exit_code == 2
    assert "expected a directory for the cache" in result.stderr


def test_another_encoder_is_refused(run, model):
    """Integrity, exit code 4."""
    result = run("serve", model, "--port", "0", "--encoder", "hashing:32")
    assert result.exit_code == 4
    assert "the encoder" in result.stderr


def test_a_taken_port_and_a_bad_option_are_refused(run, model, served):
    """Usage, exit code 2, with what to do."""
    server = served(model)
    taken = run("serve", model, "--port", server.port)
    assert (taken.exit_code, "--port" in taken.stderr) == (2, True)
    odd = run("serve", model, "--on-error", "ignore")
    assert (odd.exit_code, "one of raise, mean" in odd.stderr) == (2, True)
    odd = run("serve", model, "--template", "alpaca")
    assert (odd.exit_code, "one of auto, chatml" in odd.stderr) == (2, True)
    odd = run("serve", model, "--also", f"reward={model}")
    assert (odd.exit_code, "choose another" in odd.stderr) == (2, True)
    odd = run("serve", model, "--also", "no-directory")
    assert (odd.exit_code, "NAME=DIR" in odd.stderr) == (2, True)


def test_several_models_give_named_rewards(served, model):
    """By --also."""
    server = served(model, "--also", f"again={model}")
    _, raw = server.post("/v1/rewards", BODY)
    components = json.loads(raw)["data"][0]["components"]
    assert components["reward"] == components["again"]


def test_a_key_that_only_one_process_can_read_is_refused_for_several(
    run, model, tmp_path
):
    """Each worker reads the file: of a pipe, all but the first would fail for ever."""
    os.mkfifo(tmp_path / "pipe")
    options = ("--workers", "2", "--port", "0", "--api-key-file", tmp_path / "pipe")
    refused = run("serve", model, *options)
    assert (refused.exit_code, "read once" in refused.stderr) == (2, True)
