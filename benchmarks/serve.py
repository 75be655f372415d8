"""The reward server under load, on loopback, asked by another process.

    python benchmarks/serve.py [--only latency,cached,...] [--requests 100000]
        [--long 1000000] [--fuzzed 10000] [--out benchmarks/results/serve.json]

Rests on the packaged MiniLM and the quickstart data. Each part starts a server of its
own with `embrm serve`; the client (`serve_client.py`) is a process of its own, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from demo import describe_machine
from heads import write

from embrm import RewardModel, load_model, save_model
from embrm.datasets import read_preferences
from embrm.report import quickstart_path

HERE = Path(__file__).parent
RESULT = Path("benchmarks/results/serve.json")
ROUTE = "/v1/rewards"


@contextmanager
def server(model, *options):
    """Start `embrm serve`; yields its port and its process."""
    code = "from embrm.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", str(model), "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = json.loads(process.stdout.readline())["url"]
    try:
        yield int(url.rpartition(":")[2]), psutil.Process(process.pid)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors[-2000:]


def request(body, path=ROUTE, method="POST"):
    """Write a request as text."""
    content = json.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    head += "content-type: application/json\r\n"
    return f"{head}content-length: {len(content)}\r\n\r\n{content}"


def ask(port, requests, **job):
    """Let the client process ask; returns what it measured."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(requests, file)
        file.flush()
        done = subprocess.run(
            [sys.executable, str(HERE / "serve_client.py")],
            input=json.dumps({"port": port, "requests": file.name, **job}),
            capture_output=True,
            text=True,
            check=True,
        )
    return json.loads(done.stdout)


def cpu_seconds(process):
    """CPU time of a server: on a shared machine it says more than the clock."""
    times = process.cpu_times()
    return times.user + times.system


def errors_of(done):
    return sum(n for status, n in done["statuses"].items() if status != "200")


def items(texts):
    return [{"prompt": prompt, "response": response} for prompt, response in texts]


def latency(model, texts, _):
    """One client, one item, a remembered vector."""
    with server(model) as (port, process):
        asked = [request({"items": items([text])}) for text in texts[:100]]
        ask(port, asked, connections=1, n=500)
        before = cpu_seconds(process)
        done = ask(port, asked, connections=1, n=10_000)
        spent = cpu_seconds(process) - before
    return {**done, "errors": errors_of(done), "server_cpu_ms": spent / 10}


def cached(model, texts, arguments):
    """64 clients: single items, and batches of 256."""
    rows = {}
    for name, size, n in (("single", 1, arguments.requests), ("batch", 256, 3000)):
        with server(model) as (port, process):
            many = (texts * (1 + 2560 // len(texts)))[:2560]
            parts = [many[at : at + size] for at in range(0, len(many), size)]
            asked = [request({"items": items(part)}) for part in parts]
            ask(port, asked, connections=8, n=len(asked))
            before = cpu_seconds(process)
            done = ask(port, asked, connections=64, n=n)
            spent = cpu_seconds(process) - before
        rows[name] = {
            **done,
            "items_per_second": size * done["requests_per_second"],
            "items_per_server_cpu_second": size * n / spent,
            "errors": errors_of(done),
        }
    return rows


def uncached(model, texts, arguments):
    """New texts of 64 clients, against a loop that embeds each request by itself.

    The quickstart's texts, and their beginnings: a batch saves what a call costs, so
    short texts gain more. Then those of the part `cached` with nothing in the cache:
    clients ask for the same texts there, which are embedded once.
    """
    short = [(prompt[:20], response[:30]) for prompt, response in texts]
    times = 2560 // len(texts) + 1
    return {
        "as_they_are": by_batching(model, texts, arguments),
        "beginnings": by_batching(model, short, arguments),
        "as_in_cached": by_batching(model, texts, arguments, times=times),
    }


def by_batching(model, texts, arguments, times=1):
    """64 clients with one text each, new ones asked for so many times."""
    n = arguments.texts
    fresh = iter(range(10**9))

    def new_texts():
        once = [(prompt, f"{next(fresh)} {response}") for prompt, response in texts[:n]]
        return once * times

    loaded = load_model(model)
    loaded.set_params(progress=False)
    loaded.embed(texts[:8])
    rounds = []
    with server(model) as (port, process):
        ask(port, [request({"items": items(new_texts()[:64])})], connections=1, n=1)
        for _ in range(arguments.rounds):
            started, spent = time.perf_counter(), time.process_time()
            for text in new_texts():
                loaded.reward_vectors(loaded.embed([text]).vectors)
            loop = n * times / (time.perf_counter() - started)
            loop_cpu = n * times / (time.process_time() - spent)
            asked = [request({"items": items([text])}) for text in new_texts()]
            before = cpu_seconds(process)
            done = ask(port, asked, connections=64, n=len(asked))
            assert not errors_of(done)
            served_cpu = len(asked) / (cpu_seconds(process) - before)
            rounds.append(
                {
                    "loop_items_per_second": loop,
                    "served_items_per_second": done["requests_per_second"],
                    "loop_items_per_cpu_second": loop_cpu,
                    "served_items_per_cpu_second": served_cpu,
                }
            )
    ratios = {
        kind: statistics.median(
            row[f"served_items_per_{kind}second"] / row[f"loop_items_per_{kind}second"]
            for row in rounds
        )
        for kind in ("", "cpu_")
    }
    return {"rounds": rounds, "ratio": ratios[""], "ratio_of_cpu": ratios["cpu_"]}


def ceiling(model, _, arguments):
    """Measure what a batch can gain at most: 64 texts at once against each alone.

    No server and no client take part, and one thread computes: its CPU time hardly
    depends on what else the machine does. FLOP are those of the layers' products, for
    real tokens only; the core's own rate is that of one large product.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    loaded = load_model(model)
    loaded.set_params(progress=False)
    encoder, fresh = loaded.encoder_, iter(range(10**9))

    def texts_of(n_tokens, n):
        """Make new texts of about this many tokens."""
        said = "word " * (n_tokens - 5)
        return [("hi", f"{next(fresh)} {said}") for _ in range(n)]

    def rate(parts):
        """Embed lists of texts; tokens in a second of CPU time."""
        n = sum(encoder.fit_texts(part).n_tokens.sum() for part in parts)
        started = time.process_time()
        for part in parts:
            loaded.reward_vectors(loaded.embed(part).vectors)
        return int(n) / (time.process_time() - started)

    rate([texts_of(64, 8)])
    rows = []
    for n_tokens in (16, 32, 64, 128, 256):
        pairs = [
            (
                rate([[text] for text in texts_of(n_tokens, 32)]),
                rate([texts_of(n_tokens, 64)]),
            )
            for _ in range(arguments.rounds)
        ]
        alone, together = (statistics.median(kind) for kind in zip(*pairs, strict=True))
        flop = flop_per_token(encoder, n_tokens)
        rows.append(
            {
                "tokens": n_tokens,
                "tokens_per_cpu_second_alone": alone,
                "tokens_per_cpu_second_together": together,
                "gain": statistics.median(b / a for a, b in pairs),
                "gflop_per_cpu_second_alone": alone * flop / 1e9,
                "gflop_per_cpu_second_together": together * flop / 1e9,
            }
        )
    dtype = getattr(torch, encoder.compute_dtype)
    a, b = torch.randn(2048, 1536, dtype=dtype), torch.randn(1536, 1536, dtype=dtype)
    a @ b
    started = time.process_time()
    for _ in range(20):
        a @ b
    product = 20 * 2 * a.numel() * 1536 / (time.process_time() - started)
    torch.set_num_threads(threads)
    return {
        "dtype": encoder.compute_dtype,
        "gflop_per_cpu_second_of_a_product": product / 1e9,
        "rows": rows,
    }


def flop_per_token(encoder, n_tokens):
    """Of the layers' products: four projections, two of the MLP, and attention."""
    config = encoder.files.read_json("config.json")
    d, inner = config["hidden_size"], config["intermediate_size"]
    layer = 4 * d * d + 2 * d * inner + 2 * n_tokens * d
    return 2 * config["num_hidden_layers"] * layer


def memory(model, texts, arguments):
    """Resident memory before and after very many requests."""
    with server(model) as (port, process):
        asked = [request({"items": items([text])}) for text in texts]
        ask(port, asked, connections=64, n=20_000)
        before, rows = process.memory_info().rss, []
        step = max(1, arguments.long // 5)
        for _ in range(5):
            done = ask(port, asked, connections=64, n=step)
            assert not errors_of(done)
            rows.append(process.memory_info().rss)
    return {
        "requests": 5 * step,
        "mib_before": before / 2**20,
        "mib_after_each_fifth": [row / 2**20 for row in rows],
        "growth": rows[-1] / before - 1,
    }


def overload(model, texts, arguments):
    """Ten times as many requests of eight new texts as can be served.

    Rounds of both, since a machine that is shared changes its pace.
    """
    fresh = iter(range(10**9))

    def asked(n):
        parts = [
            [
                (prompt[:20], f"{next(fresh)} {response[:30]}")
                for prompt, response in texts[at % 400 : at % 400 + 8]
            ]
            for at in range(n)
        ]
        return [request({"items": items(part)}) for part in parts]

    with server(model) as (port, _):
        ask(port, asked(20), connections=1, n=20)
        unloaded = ask(port, asked(100), connections=1, n=100)
        busy = ask(port, asked(100), connections=2, n=100)
        capacity = busy["requests_per_second"]
    wait, rate = unloaded["p50_ms"] / 1000 * 0.4, 10 * capacity
    rounds = []
    with server(model, "--queue", 8, "--max-wait", wait, "--window", 0) as (port, _):
        ask(port, asked(20), connections=1, n=20)
        for _ in range(max(3, arguments.rounds)):
            alone = ask(port, asked(200), connections=1, n=200)
            loaded = ask(port, asked(int(rate * 15) + 1), rate=rate, seconds=15)
            ratio = loaded["p99_ms"] / alone["p99_ms"]
            row = {"unloaded": alone, "overloaded": loaded, "ratio_of_p99": ratio}
            rounds.append(row)
    statuses = {status for row in rounds for status in row["overloaded"]["statuses"]}
    return {
        "capacity_requests_per_second": capacity,
        "max_wait_seconds": wait,
        "rounds": rounds,
        "ratio_of_p99": statistics.median(row["ratio_of_p99"] for row in rounds),
        "other_statuses": sorted(statuses - {"200", "503"}),
    }


def fuzz(model, _, arguments):
    """Requests that no client should send, on all routes."""
    import runpy

    fuzzer = runpy.run_path(str(HERE.parent / "tests/serve/fuzzing.py"))
    options = ["--header-timeout", 1, "--body-timeout", 1, "--max-body", 1]
    with server(model, *options) as (port, _):
        return fuzzer["fuzz"](port, arguments.fuzzed, seed=arguments.seed)


PARTS = {
    "latency": latency,
    "cached": cached,
    "uncached": uncached,
    "ceiling": ceiling,
    "overload": overload,
    "fuzz": fuzz,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--long", type=int, default=1_000_000)
    parser.add_argument("--fuzzed", type=int, default=10_000)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    with tempfile.TemporaryDirectory() as directory:
        preferences = read_preferences(quickstart_path(), on_error="skip")
        texts = list(dict.fromkeys(preferences.texts))
        model = RewardModel(arguments.encoder, cache=Path(directory) / "vectors")
        saved = save_model(model.fit(preferences), Path(directory) / "model")
        for name in arguments.only.split(","):
            started = time.perf_counter()
            kept[name] = PARTS[name](saved, texts, arguments)
            # Parts may be measured on different machines.
            kept[name]["machine"] = describe_machine()
            kept[name]["load_average"] = os.getloadavg()[0]
            print(name, round(time.perf_counter() - started), "s")
            print(json.dumps(kept[name], indent=1))
            write(arguments.out, kept)


if __name__ == "__main__":
    main()
