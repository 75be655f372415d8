"""Write the last results into docs/promises.md, from the files in results/.

    python benchmarks/promises.py

Nothing is measured here: each row names the script that does, and says what its last
run kept. A test compares the page with these files.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "promises.md"

Facts = dict[str, Any]


def kills(facts: Facts) -> str:
    one = facts["kill_9"]
    return (
        f"{one['kills']} kills, {one['acknowledged_batches']} acknowledged batches: "
        f"{one['lost_batches']} lost, {one['torn_batches']} torn, "
        f"{one['wrong_vectors']} wrong vectors, "
        f"{one['unreadable_stores']} unreadable stores"
    )


def disk_faults(facts: Facts) -> str:
    one = facts["disk_faults"]
    return (
        f"{one['faults']} faults: {one['unclean_errors']} untyped errors, "
        f"{one['wrong_or_lost']} with vectors wrong or lost, "
        f"{one['not_usable_after']} not usable after"
    )


def refused_writes(facts: Facts) -> str:
    one = facts["writes_refused_by_the_system"]
    return (
        f"{one['refused']} refused writes: {one['clean_errors']} typed errors, "
        f"{one['intact']} stores intact"
    )


def flipped_bits(facts: Facts) -> str:
    one = facts["flipped_bits"]
    return (
        f"{one['flips']} flips: {one['detected']} detected, "
        f"{one['wrong_vectors']} wrong vectors"
    )


def crowd(facts: Facts) -> str:
    one = facts["crowd"]
    return (
        f"{one['seconds']} s, {one['appends']} appends, {one['reads']} reads: "
        f"{one['lost']} lost, {one['torn']} torn, {one['wrong']} wrong, "
        f"{one['processes_that_failed']} processes failed"
    )


def clocks(facts: Facts) -> str:
    one = facts["clocks"]
    return (
        f"{one['trials']} trials: {one['vectors_replaced_by_a_later_append']} vectors "
        f"replaced, {one['changed_by_compaction']} changed by compaction"
    )


def killed_savers(facts: Facts) -> str:
    return (
        f"{facts['kills']} kills: {facts['no_whole_model_after_a_kill']} without a "
        f"whole model, {len(facts['left_beside_the_model'])} files left behind"
    )


def savers_and_loaders(facts: Facts) -> str:
    n_loads = facts["loads_beside_four_savers"]
    return f"{n_loads} loads: {len(facts['errors'])} errors, of savers or loaders"


def killed_experiment(facts: Facts) -> str:
    one = facts["killed"]
    same = "equal" if one["same_table_bit_for_bit"] else "not equal"
    n_kills = len(one["cells_stored_at_each_kill"])
    return f"{n_kills} kills in {one['cells']} cells: tables {same}, bit for bit"


def mutations(facts: Facts) -> str:
    one = facts["mutations"]
    return (
        f"{one['trials']} bundles of all heads: {one['deaths']} deaths, "
        f"{one['hangs']} hangs, {one['untyped_errors']} untyped errors, "
        f"{one['differ_without']} loads that differ without a re-made checksum "
        f"({one['refused']} refused, {one['the_same']} the same)"
    )


def all_kills(facts: Facts) -> str:
    rooms = {name: one for name, one in facts.items() if "trials" in one}
    wrong = sum(one.get("wrong", 0) for one in rooms.values())
    left = sum(one.get("left_behind", 0) for one in rooms.values())
    counts = ", ".join(f"{name} {one['trials']}" for name, one in rooms.items())
    total = sum(one["trials"] for one in rooms.values())
    return f"{total} kills ({counts}): {wrong} wrong or lost, {left} files left behind"


def misbehaviour(facts: Facts) -> str:
    one = facts["misbehaviour"]
    return (
        f"{one['trials']} misbehaviours: {one['too_late']} beyond the deadline, "
        f"{one['untyped_errors']} untyped errors, {one['keys_shown']} with the key "
        "in an error, a log or the fingerprint; the slowest took "
        f"{one['slowest_seconds']:.1f} s of 0.5 s for each of two requests"
    )


def endless_answers(facts: Facts) -> str:
    one = facts["memory"]
    return (
        f"{one['requests_at_once']} at once: {one['grown_over_largest']:.1f} times the "
        "largest answer that may be read"
    )


def fuzzed_rows(facts: Facts) -> str:
    one = facts["fuzz"]
    return (
        f"{one['rows']} rows: {one['kept']} kept, {one['left out']} left out and "
        f"counted, {one['refused']} refused; {len(one['faults'])} anything else"
    )


def fuzzed_requests(facts: Facts) -> str:
    one = facts["fuzz"]
    return (
        f"{one['n']} requests: {one['five_hundreds']} answered with 500 or above, "
        f"{one['hangs']} hangs, {one['untyped_errors']} untyped errors, "
        f"{one['unhealthy']} times not healthy after"
    )


MEASURED: list[tuple[str, str, str, Callable[[Facts], str]]] = [
    ("cache", "kill -9 at random moments of appends and compactions", "", kills),
    ("cache", "each call to the disk fails, with six errors", "", disk_faults),
    ("cache", "the system refuses a write at 50 sizes", "", refused_writes),
    ("cache", "one bit of a segment is flipped", "", flipped_bits),
    ("cache", "eight writers, one compacting, and eight readers", "", crowd),
    ("cache", "clocks of two machines up to ten years apart", "", clocks),
    ("model", "kill -9 at random moments of saves over a model", "", killed_savers),
    ("model", "four savers and four loaders at once", "", savers_and_loaders),
    ("model", "changed at random, then loaded", " --mutations 100000", mutations),
    ("whatever writes", "kill -9 of cache, save, score, experiment", "", all_kills),
    ("embedding client", "a server that misbehaves", "", misbehaviour),
    ("embedding client", "answers without end, memory", "", endless_answers),
    ("experiment", "kill -9 of a grid, then continued", "", killed_experiment),
    ("reading", "damaged rows in the schemas of public data", " fuzz", fuzzed_rows),
    ("serve", "random requests to the reward server", " --only fuzz", fuzzed_requests),
]
FILES = {
    "cache": "cache_faults",
    "model": "model_faults",
    "whatever writes": "kills",
    "embedding client": "server_faults",
}


def peak(facts: Facts) -> str:
    return f"{facts['auto']['peak_over_items']:.2f} times the items"


def fit_seconds(facts: Facts) -> str:
    return f"{facts['auto']['fit_seconds']:.1f} s"


def memory_map(facts: Facts) -> str:
    fits = facts["memory_map"]["fits"]
    words = (f"{one['layout']} {one['grown_over_matrix']:.2f}" for one in fits)
    return "times the matrix: " + ", ".join(words)


def heads_memory(facts: Facts) -> str:
    heads = {name: one["grown_over_matrix"] for name, one in facts["heads"].items()}
    ordered = sorted(heads.items(), key=lambda item: item[1])
    words = ", ".join(f"{name} {grown:.1f}" for name, grown in ordered)
    return f"times the matrix: {words}"


def diagnosis(facts: Facts) -> str:
    one = facts["diagnose"]
    return f"{one['seconds']:.0f} s, {one['peak_gigabytes']:.1f} GB at the peak"


def two_threads(facts: Facts) -> str:
    one = facts["real"]["two_threads"]
    return (
        f"{one['times_faster']:.2f} times as fast, "
        f"{one['cpu_of_one']:.2f} times the CPU seconds"
    )


def layers_and_depth(facts: Facts) -> str:
    one = facts["real"]
    return (
        f"{one['seven_layers_to_one']:.2f} times the CPU seconds; stopping there saves "
        f"{one['saved_by_stopping']:.0%} of all layers'"
    )


def overhead(facts: Facts) -> str:
    one = facts["latency"]
    return f"p50 {one['p50_ms']:.2f} ms, p99 {one['p99_ms']:.2f} ms"


def remembered(facts: Facts) -> str:
    single, batch = facts["cached"]["single"], facts["cached"]["batch"]
    return (
        f"{single['items_per_second']:,.0f} items/s one by one, "
        f"{batch['items_per_second']:,.0f} in batches of 256; "
        f"{single['errors']} errors in {single['statuses']['200']:,} requests"
    )


def by_batching(facts: Facts) -> str:
    one, rows = facts["uncached"], facts["ceiling"]["rows"]
    most = ", ".join(f"{row['gain']:.1f} at {row['tokens']}" for row in rows)
    return (
        f"{one['beginnings']['ratio']:.1f} times as fast for beginnings of texts, "
        f"{one['as_they_are']['ratio']:.1f} for whole texts, "
        f"{one['as_in_cached']['ratio']:.1f} where each is asked for four times; the "
        f"most a batch of 64 can gain on one core, by tokens: {most}"
    )


def seconds_of(part: str) -> Callable[[Facts], str]:
    return lambda facts: f"{facts[part]['seconds']:.0f} s"


def mining(facts: Facts) -> str:
    one, other = facts["mine"]["plain"], facts["mine"]["diverse"]
    return (
        f"{one['cpu_seconds']:.0f} CPU s, {one['peak_megabytes']} MB at the peak; with "
        f"diversity {other['cpu_seconds']:.0f} CPU s, {other['peak_megabytes']} MB"
    )


SPEED: list[tuple[str, str, Callable[[Facts], str]]] = [
    (
        "linear head, a million pairs of 100,000 float32 items, d = 1,024: peak memory",
        "linear_speed",
        peak,
    ),
    ("the same: a fit", "linear_speed", fit_seconds),
    (
        "linear head, 300,000 pairs of a memory map of 300,000 x 384: its growth",
        "linear_speed",
        memory_map,
    ),
    (
        "every head, 100,000 pairs of a memory map of 100,000 x 256 float32",
        "fit_memory",
        heads_memory,
    ),
    ("a million pairs, read and diagnosed", "datasets", diagnosis),
    ("embedding on two threads, against one", "embed", two_threads),
    ("embedding seven layers, against layer 20 of 30", "embed", layers_and_depth),
    ("reward server: one client, one remembered item", "serve", overhead),
    ("reward server: 64 clients, remembered items", "serve", remembered),
    (
        "reward server: 64 clients with new texts, against a loop of single texts",
        "serve",
        by_batching,
    ),
    (
        "tilt sweep of 30 etas over 10,000 prompts with 64 candidates",
        "policy_speed",
        seconds_of("tilt"),
    ),
    (
        "DPO on 200,000 pairs of 40,000 prompts with 10 candidates, d = 384",
        "policy_speed",
        seconds_of("dpo"),
    ),
    ("`embrm mine` on a file of a million responses", "policy_speed", mining),
]


def last_result(name: str, say: Callable[[Facts], str]) -> str:
    """Say what a script's last run kept."""
    kept = HERE / "results" / f"{name}.json"
    if not kept.exists():
        return "no result is kept yet"
    return say(json.loads(kept.read_text("utf-8")))


def tables() -> dict[str, str]:
    """Write, for each mark of the page, what was measured by which script."""
    measured = [
        (f"{room}: {fault}", FILES.get(room, room), option, say)
        for room, fault, option, say in MEASURED
    ]
    speed = [(what, name, "", say) for what, name, say in SPEED]
    heading = "| what is done | script | last result |\n|---|---|---|\n"
    return {
        mark: heading
        + "".join(
            f"| {what} | `benchmarks/{name}.py{option}` | {last_result(name, say)} |\n"
            for what, name, option, say in rows
        )
        for mark, rows in (("measured", measured), ("speed", speed))
    }


def filled(page: str) -> str:
    """Put the tables between the marks of the page."""
    for mark, table in tables().items():
        begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->\n"
        head, _, rest = page.partition(begin)
        page = head + begin + table + end + rest.partition(end)[2]
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
    print(*tables().values(), sep="\n")
