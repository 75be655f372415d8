"""How much faster prefix sharing embeds, and how far from the hardware's ceiling.

    python benchmarks/embed.py cpu [--prompts 2] [--rounds 3]
    python benchmarks/embed.py real [--pairs 48] [--rounds 3]
    python benchmarks/embed.py gpu [--toy]     # one CUDA device, under eight minutes

`cpu`: Llama of 8 blocks x 512, float32, one thread, prompts of 200 tokens x 16
responses of 60 (and of 20 to 100). `gpu`: Gemma-2B's shape (but for the vocabulary,
which embedding does not multiply with), bfloat16, prompts of 300 tokens x 10 and x 500
responses of 100. Weights are random there: they take as long as trained ones. `real`:
SmolLM2 on transcripts of HH-harmless. The sides take
turns in one process; ratios are medians over the rounds. Results go into one file,
under the name of the half; `--toy` runs the GPU half's code on a CPU with a tiny model,
and writes nothing.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from demo import describe_machine
from embed_rivals import (
    Rivals,
    interleaved,
    make_texts,
    max_relative_error,
    sentence_transformer,
    write_model,
)

WAYS = ("auto", "kv", "tree", "off")


def encoders(directory: Path, dtype: str, batch_tokens: int, device: str) -> dict:
    """One encoder for each way of sharing, all with the same loaded weights."""
    from embrm.embed import CausalLMEncoder

    plain = CausalLMEncoder.published_recipe(
        str(directory),
        template="plain",
        sharing="off",
        dtype=dtype,
        store_dtype="float32",
        batch_tokens=batch_tokens,
        device=device,
    )
    return {way: plain.with_options(sharing=way) for way in WAYS}


def taken_by_auto(encoder, texts: list) -> str:
    """Which way "auto" takes for these texts as one slice."""
    from embrm.embed.causal.sharing_plan import prefix_groups

    tokens = encoder._tokens(texts)
    return encoder._engine.choose(tokens, prefix_groups(tokens), encoder.batch_tokens)


def ratios(seconds: dict[str, list[float]], ours: str) -> dict[str, float]:
    return {
        name: statistics.median(
            other / own for other, own in zip(times, seconds[ours], strict=True)
        )
        for name, times in seconds.items()
        if name != ours
    }


def cpu_half(n_prompts: int, rounds: int) -> dict:
    import torch

    torch.set_num_threads(1)
    figures = {}
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        write_model(directory, "llama-8x512", dtype="float32", device="cpu")
        made = encoders(directory, "float32", 8192, "cpu")
        rivals = Rivals(directory, made["off"]._loaded)
        for name, lengths in {"60": (60, 60), "20-100": (20, 100)}.items():
            texts = make_texts(n_prompts, 16, 200, lengths)
            ways = {
                "reference": partial(rivals.reference, texts),
                "bucketed": partial(rivals.bucketed, texts),
            } | {way: partial(encoder.encode, texts) for way, encoder in made.items()}
            truth = rivals.one_by_one(texts)
            # The first call tests the model and warms up.
            errors = {n: max_relative_error(run(), truth) for n, run in ways.items()}
            # CPU seconds of all threads: others may use the machine, too.
            seconds = interleaved(ways, rounds, clock=time.process_time)
            figures[f"200 x 16 responses of {name}"] = {
                "prompts": n_prompts,
                "auto_took": taken_by_auto(made["auto"], texts),
                "seconds": seconds,
                "times_faster_than": ratios(seconds, "auto"),
                "max_relative_error": errors,
            }
    return {
        "threads": 1,
        "clock": "CPU seconds of the process",
        "model": "llama-8x512 float32",
        "figures": figures,
    }


def real_texts(n_pairs: int) -> list:
    """Transcripts of people and an assistant, the two answers to each side by side."""
    from embrm.datasets import read_preferences

    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    preferences = read_preferences(
        shared / "hh_harmless_dev.jsonl", on_error="skip-uninformative"
    )
    return preferences.texts[: 2 * n_pairs]


def real_half(n_pairs: int, rounds: int) -> dict:
    """SmolLM2 on real text: sharing, threads, many layers, stopping below the top."""
    import torch

    from embrm.embed import make_encoder

    texts = real_texts(n_pairs)
    default = make_encoder("smollm2")
    default.encode(texts[:4])
    reports: list = []
    default.with_options(sharing="off").encode(texts, on_batch=reports.append)
    n_tokens = sum(report.n_tokens for report in reports)
    exact = make_encoder("smollm2", dtype="float32")
    last = {"layer": -1, "pooling": "last_content"}
    seven = {"layer": (2, 5, 8, 10, 12, 15, 20), "pooling": "mean_response"}
    encoders = {
        "off, published recipe": default.with_options(sharing="off", **last),
        "kv, published recipe": default.with_options(sharing="kv", **last),
        "auto, all layers": default.with_options(layer=-1),
        "auto, default": default,
        "auto, default, seven layers": default.with_options(**seven),
        "off, default": default.with_options(sharing="off"),
        "float32: off, published recipe": exact.with_options(sharing="off", **last),
        "float32: kv, published recipe": exact.with_options(sharing="kv", **last),
    }
    for encoder in encoders.values():
        encoder.encode(texts[:4])  # loaded, and its ways of sharing tested
    torch.set_num_threads(1)
    ways = {name: partial(encoder.encode, texts) for name, encoder in encoders.items()}
    cpu = interleaved(ways, rounds, clock=time.process_time)
    threads: dict[str, dict[str, list[float]]] = {"wall": {}, "cpu": {}}
    for _ in range(rounds):
        for n in (1, 2):
            torch.set_num_threads(n)
            started, spent = time.perf_counter(), time.process_time()
            default.encode(texts)
            for kind, seconds in (
                ("wall", time.perf_counter() - started),
                ("cpu", time.process_time() - spent),
            ):
                threads[kind].setdefault(str(n), []).append(seconds)

    def ratio(one: str, other: str) -> float:
        pairs = zip(cpu[one], cpu[other], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def speed_up(kind: str) -> float:
        pairs = zip(threads[kind]["1"], threads[kind]["2"], strict=True)
        return statistics.median(a / b for a, b in pairs)

    return {
        "model": "SmolLM2-135M-Instruct from 4 bits",
        "texts": len(texts),
        "tokens": n_tokens,
        "cpu_seconds": cpu,
        "tokens_per_cpu_second": {
            name: n_tokens / statistics.median(times) for name, times in cpu.items()
        },
        "seven_layers_to_one": ratio("auto, default, seven layers", "auto, default"),
        "saved_by_stopping": 1 - ratio("auto, default", "auto, all layers"),
        "load_average": os.getloadavg(),
        "two_threads": {
            "wall_seconds": threads["wall"],
            "cpu_seconds": threads["cpu"],
            "times_faster": speed_up("wall"),
            "cpu_of_one": 1 / speed_up("cpu"),
        },
    }


def matmul_ceiling(device: str, size: int) -> float:
    """Measured FLOP/s of a large bfloat16 matrix product."""
    import torch

    one, other = (
        torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2)
    )
    best = 0.0
    for _ in range(5):
        synchronise(device)
        started = time.perf_counter()
        for _ in range(10):
            one @ other
        synchronise(device)
        best = max(best, 10 * 2 * size**3 / (time.perf_counter() - started))
    return best


def synchronise(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def unique_flops(model, texts: list, n_prompts: int) -> float:
    """Operations on tokens that differ: two for each weight, and attention's."""
    weights = sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.dim() == 2 and "embed" not in name
    )
    config = model.config
    per_key = 4 * config.num_hidden_layers * config.num_attention_heads
    per_key *= config.head_dim
    prompts = [len(p.split()) + 1 for p, _ in texts[:: len(texts) // n_prompts]]
    responses = [(len(p.split()) + 1, len(r.split())) for p, r in texts]
    n_tokens = sum(prompts) + sum(own for _, own in responses)
    n_keys = sum(n * (n + 1) / 2 for n in prompts)
    n_keys += sum(own * before + own * (own + 1) / 2 for before, own in responses)
    return 2 * weights * n_tokens + per_key * n_keys


def host_share(encoder, texts: list, device: str) -> dict[str, float]:
    """Share of the wall time that is not the GPU's: busy time by its own events."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    if device != "cuda":
        return {}
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        started = time.perf_counter()
        encoder.encode(texts)
        torch.cuda.synchronize()
        wall = time.perf_counter() - started
    busy = sum(event.self_device_time_total for event in recorded.key_averages()) / 1e6
    # Without the right to read the GPU's counters there are no events.
    share = 1 - busy / wall if busy else None
    return {"wall_seconds": wall, "gpu_seconds": busy, "host_share": share}


def gpu_case(
    made: dict, rivals: dict, texts: list, n_prompts: int, setup: dict
) -> dict:
    """Time all ways on the same texts; the slow ones on the first of them."""
    few = texts[: setup["slow_texts"]]
    ways = {way: partial(encoder.encode, texts) for way, encoder in made.items()}
    slow = {name: partial(run, few) for name, run in rivals.items()}
    truth = made["off"].encode(few)
    errors = {
        way: max_relative_error(run()[: len(few)], truth) for way, run in ways.items()
    }
    errors |= {name: max_relative_error(run(), truth) for name, run in slow.items()}
    seconds = interleaved(ways | slow, setup["rounds"])
    for name in slow:
        seconds[name] = [n * len(texts) / len(few) for n in seconds[name]]
    flops = unique_flops(made["off"]._loaded, texts, n_prompts)
    return {
        "texts": len(texts),
        "texts_of_slow_ways": len(few),
        "seconds": seconds,
        "auto_took": taken_by_auto(made["auto"], texts),
        "times_faster_than": ratios(seconds, "auto"),
        "max_relative_error_to_off": errors,
        "flops_of_unique_tokens": flops,
        "mfu": {way: flops / min(seconds[way]) / setup["ceiling"] for way in WAYS},
        "host": host_share(made["auto"], texts, setup["device"]),
    }


def gpu_half(*, is_toy: bool) -> dict:
    import torch

    if not is_toy and not torch.cuda.is_available():
        sys.exit("embed.py gpu needs a CUDA device; --toy tries its code without one")
    device = "cpu" if is_toy else "cuda"
    shape = "gemma-toy" if is_toy else "gemma-2b"
    cases = (
        {"10": (4, 10), "500": (1, 20)}
        if is_toy
        else {"10": (200, 10), "500": (4, 500)}
    )
    setup = {
        "device": device,
        "rounds": 2 if is_toy else 3,
        "slow_texts": 10 if is_toy else 500,
        "ceiling": matmul_ceiling(device, 256 if is_toy else 16_384),
    }
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        write_model(directory, shape, dtype="bfloat16", device=device)
        made = encoders(directory, "bfloat16", 1024 if is_toy else 16_384, device)
        model = made["off"]._loaded
        others = Rivals(directory, model)
        rivals = {
            "reference": partial(others.reference, batch=50),
            "bucketed": partial(others.bucketed, batch=32),
            "sentence_transformer": sentence_transformer(directory, model),
        }
        figures = {
            f"300 x {name} responses of 100": gpu_case(
                made,
                rivals,
                make_texts(n_prompts, n_responses, 300, (100, 100)),
                n_prompts,
                setup,
            )
            for name, (n_prompts, n_responses) in cases.items()
        }
    return {
        "device": device if is_toy else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "model": f"{shape} bfloat16",
        "matmul_flops_ceiling": setup["ceiling"],
        "figures": figures,
    }


def show(half: dict) -> None:
    for name, figure in half["figures"].items():
        print(name)
        for way, seconds in figure["seconds"].items():
            faster = figure["times_faster_than"].get(way)
            errors = (
                figure.get("max_relative_error") or figure["max_relative_error_to_off"]
            )
            print(
                f"  {way:22s} {min(seconds):8.3f} s"
                + (f"  auto is {faster:5.2f}x" if faster else " " * 15)
                + f"  error {errors[way]:.1e}"
                + (
                    f"  mfu {figure['mfu'][way]:.1%}"
                    if way in figure.get("mfu", {})
                    else ""
                )
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=["cpu", "gpu", "real"])
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/embed.json")
    )
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("always")
    if arguments.half == "cpu":
        half = cpu_half(arguments.prompts, arguments.rounds)
    elif arguments.half == "real":
        half = real_half(arguments.pairs, arguments.rounds)
        print(json.dumps(half, indent=1))
    else:
        half = gpu_half(is_toy=arguments.toy)
    if arguments.half != "real":
        show(half)
    if arguments.toy:
        return
    half |= {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
    }
    out = arguments.out
    known = json.loads(out.read_text()) if out.exists() else {}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(known | {arguments.half: half}, indent=2) + "\n")


if __name__ == "__main__":
    main()
