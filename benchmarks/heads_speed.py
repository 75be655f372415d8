"""Seconds and peak memory of heads; each figure is a generator of rows."""

import json
import resource
import subprocess
import sys
import time
import warnings
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from heads_data import load_pool
from reference_recipes import siamese_mlp

from embrm import Pairs
from embrm.heads import LinearBradleyTerry, order_consistency


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def random_pairs(n_pairs, n_items, d, *, bent=0.0, seed=0):
    """Float32 items, made in blocks so that peak memory stays that of the items."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=d).astype(np.float32) / np.sqrt(d)
    items = np.empty((n_items, d), dtype=np.float32)
    gold = np.empty(n_items, dtype=np.float32)
    for start in range(0, n_items, 10_000):
        block = rng.standard_normal((min(10_000, n_items - start), d), dtype=np.float32)
        items[start : start + len(block)] = block
        bend = np.abs(block[:, 0]) - 0.8
        gold[start : start + len(block)] = 2 * block @ weights + bent * bend
    ids = rng.integers(0, n_items, (n_pairs, 2))
    ids[:, 1] += ids[:, 0] == ids[:, 1]
    ids[:, 1] %= n_items
    delta = gold[ids[:, 0]] - gold[ids[:, 1]]
    y = (rng.random(n_pairs) < 1 / (1 + np.exp(-delta))).astype(np.float64)
    return Pairs(items, ids), y, gold


def siamese(make, _):
    """Fit time at 40,000 pairs x 2,048, the two sides in turn, three times."""
    pairs, y, gold = random_pairs(40_000, 30_000, 2048, bent=1.0)
    seen = np.unique(pairs.ids)
    unseen = np.setdiff1d(np.arange(len(gold)), seen)
    unseen = unseen[: len(unseen) // 2 * 2].reshape(-1, 2)
    label = (gold[unseen[:, 0]] > gold[unseen[:, 1]]).astype(float)
    for seed in range(3):
        head = make("siamese", seed)
        ours, _ = timed(lambda head=head: head.fit(pairs, y))
        reference, reward = timed(
            lambda seed=seed: siamese_mlp(pairs.items, pairs.ids, y, seed)
        )
        scores = [r(pairs.items[unseen.ravel()]) for r in (head.reward, reward)]
        delta = [s.reshape(-1, 2) @ [1.0, -1.0] for s in scores]
        consistency, reference_consistency = (
            order_consistency(each, label) for each in delta
        )
        yield {
            "seed": seed,
            "seconds": ours,
            "reference_seconds": reference,
            "times_faster": reference / ours,
            "must_be": 10.0,
            "consistency": consistency,
            "reference_consistency": reference_consistency,
        }


def scoring(make, names):
    """Score 100,000 items x 1,024 with every head, fitted on 2,000 bent pairs."""
    pairs, y, _ = random_pairs(2_000, 100_000, 1024, bent=6.0)
    for name in names:
        head = make(name, 0).fit(pairs, y)
        seconds, _ = timed(lambda head=head: head.reward(pairs.items))
        row = {"head": name, "seconds": seconds, "must_be_below": 5.0}
        if name == "linear":
            row["must_be_below"] = 1.0
        if hasattr(head, "n_trees_"):
            row["n_trees"] = head.n_trees_
        yield row


def ensemble(make, _):
    """Ten members in one fit, against ten fits."""
    pairs, y, _ = random_pairs(10_000, 8_000, 384, bent=1.0)
    for repeat in range(2):
        together, _ = timed(
            lambda: make("siamese", 0).set_params(ensemble_size=10).fit(pairs, y)
        )
        apart, _ = timed(
            lambda: [
                make("siamese", seed).set_params(ensemble_size=1).fit(pairs, y)
                for seed in range(10)
            ]
        )
        yield {
            "repeat": repeat,
            "seconds": together,
            "seconds_of_ten_fits": apart,
            "times_faster": apart / together,
            "must_be": 1.3,
        }


def linear(make, _):
    """A million pairs in a process of its own."""
    del make
    given = None
    for alpha in ("100.0", "auto"):
        command = [sys.executable, __file__, "1000000", "100000", "1024", alpha]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            yield {"alpha": alpha, "note": done.stderr.strip()[-200:]}
            continue
        row = json.loads(done.stdout)
        given = given or row["seconds"]
        bounds = {"must_be_below": 60.0} if alpha != "auto" else {}
        bounds |= {"peak_must_be_below": 2.0}
        yield {**row, **bounds, "times_given_alpha": row["seconds"] / given}


SPECTRA = ("isotropic", "decaying", "real")


def spectral_pairs(n_pairs, d, spectrum, pairs_of_item, *, bent=0.0):
    """Pairs of items whose columns vary alike, as 1 / sqrt(k), or as real vectors do.

    Each item is in as many pairs. Labels are of one nat, and of `bent` nats more by the
    size of four columns.
    """
    rng = np.random.default_rng(0)
    n_items = 2 * n_pairs // pairs_of_item
    if spectrum == "real":
        vectors = load_pool("pool", Path("../shared/data")).items
        items = vectors[rng.permutation(len(vectors))[:n_items]]
    else:
        items = rng.standard_normal((n_items, d), dtype=np.float32)
    if spectrum == "decaying":
        items *= (1 / np.sqrt(1.0 + np.arange(d))).astype(np.float32)
    gold = items @ (rng.normal(size=d) * items.std(axis=0))
    gold /= gold.std()
    bend = np.abs(items[:, :4] / items[:, :4].std(axis=0)).sum(axis=1)
    gold += bent * bend / bend.std()
    rounds = [rng.permutation(n_items).reshape(-1, 2) for _ in range(pairs_of_item)]
    ids = np.concatenate(rounds)
    delta = gold[ids[:, 0]] - gold[ids[:, 1]]
    y = (rng.random(len(ids)) < 1 / (1 + np.exp(-delta))).astype(np.float64)
    return Pairs(items, ids), y


def scikit_learn(_, __):
    """Both sides on the same differences, in turn, medians of five, processor time.

    This is the one comparison with scikit-learn. `LogisticRegression` is handed the
    matrix of differences; `differences` is the time to make it, which ours contains.
    The error of a fit is the relative distance of its weights to a fit in float64 at a
    tolerance of 1e-11. `LogisticRegression` by default ends with errors of 1e-3 to
    4e-2, ours of 1e-8. So ours is run twice: as it is by default, and at the largest
    tolerance at which its error is no larger than that of `LogisticRegression`.
    """
    sizes = product((1_000, 2_000, 10_000), (384,), SPECTRA, (1, 5))
    for n, d, spectrum, times in sizes:
        yield _against(n, d, spectrum, times, with_search=True)
    for spectrum, times in product(("isotropic", "decaying"), (1, 5)):
        yield _against(40_000, 2048, spectrum, times, with_search=False)


def _against(n, d, spectrum, times, *, with_search, alpha=10.0):
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    pairs, y = spectral_pairs(n, d, spectrum, times)

    def differences():
        return pairs.items[pairs.first] - pairs.items[pairs.second]

    def logistic(tol=1e-4):
        model = LogisticRegression(C=1 / alpha, fit_intercept=False, tol=tol)
        return model.set_params(max_iter=1000).fit(gap, y)

    def ours(tol=1e-8):
        return LinearBradleyTerry(alpha, posterior=False, tol=tol).fit(pairs, y)

    def error(model):
        off = float(np.linalg.norm(model.coef_.ravel() - exact))
        return off / float(np.linalg.norm(exact))

    gap = differences()
    wide = Pairs(pairs.items.astype(np.float64), pairs.ids)
    exact = LinearBradleyTerry(alpha, posterior=False, tol=1e-11).fit(wide, y).coef_
    bound = error(logistic())
    tol = next(t for t in 10.0 ** -np.arange(1, 9, 0.5) if error(ours(t)) <= bound)
    sides = {
        "differences": differences,
        "logistic": logistic,
        "given_as_exact": lambda: ours(tol),
        "logistic_at_1e-8": lambda: logistic(1e-8),
        "given": ours,
    }
    if with_search:
        search = LogisticRegressionCV(Cs=10, cv=5, fit_intercept=False)
        sides["auto"] = lambda: LinearBradleyTerry().fit(pairs, y)
        sides["cv"] = lambda: search.fit(gap, y)
    seconds = {name: [] for name in sides}
    errors = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            for name, call in sides.items():
                taken, made = processor_time(call)
                seconds[name].append(taken)
                if name in ("logistic", "given_as_exact", "logistic_at_1e-8", "given"):
                    errors[name] = error(made)
    told = {name: round(float(np.median(each)), 4) for name, each in seconds.items()}
    row = {"n_pairs": n, "d": d, "spectrum": spectrum, "pairs_of_item": times, **told}
    row |= {"error": errors, "tol_as_exact": float(tol)}
    row["given_over_logistic"] = ratio(told["given"], told["logistic"])
    row["as_exact_over_logistic"] = ratio(told["given_as_exact"], told["logistic"])
    row["as_exact_over_logistic_with_differences"] = ratio(
        told["given_as_exact"], told["logistic"] + told["differences"]
    )
    row["given_over_logistic_at_1e-8"] = ratio(told["given"], told["logistic_at_1e-8"])
    row["must_be"] = {"as_exact_over_logistic": 1.5}
    if with_search:
        row["auto_over_cv"] = ratio(told["auto"], told["cv"])
        row["must_be"]["auto_over_cv"] = 1.0
    return row


def ratio(ours: float, other: float) -> float:
    return round(ours / other, 2)


def siamese_small(make, _):
    """Fit time with few pairs, on one thread."""
    for n, spectrum in product((1_000, 2_000), SPECTRA):
        pairs, y = spectral_pairs(n, 384, spectrum, 1)
        fits = [partial(make("siamese", seed).fit, pairs, y) for seed in range(3)]
        taken = [processor_time(fit)[0] for fit in fits]
        median = float(np.median(taken))
        yield {"n_pairs": n, "spectrum": spectrum, "seconds": median, "must_be": 3.0}


def ranker(make, _):
    """The boosted head against LightGBM's own ranker with as many trees, in turn.

    Trees have as many leaves as the head's: those of the ranker's default, 31, would
    make it slower still.
    """
    from lightgbm import LGBMRanker

    for n, spectrum in product((2_000, 10_000), SPECTRA):
        pairs, y = spectral_pairs(n, 384, spectrum, 1, bent=2.0)
        rows = pairs.ids.ravel()
        won = np.stack([y, 1 - y], axis=1).ravel().astype(int)
        seconds = {"ours": [], "ranker": []}
        for seed in range(3):
            fit = partial(make("boosted", seed).fit, pairs, y)
            taken, head = processor_time(fit)
            seconds["ours"].append(taken)
            other = LGBMRanker(
                n_estimators=head.n_trees_,
                num_leaves=head.max_leaves,
                n_jobs=1,
                verbosity=-1,
            )
            items = pairs.items[rows]
            rank = partial(other.fit, items, won, group=[2] * n)
            seconds["ranker"].append(processor_time(rank)[0])
        medians = {name: float(np.median(each)) for name, each in seconds.items()}
        yield {
            "n_pairs": n,
            "spectrum": spectrum,
            "n_trees": head.n_trees_,
            **medians,
            "times_ranker": ratio(medians["ours"], medians["ranker"]),
            "must_be": 2.0,
        }


def processor_time(call):
    """Return seconds of the processor, and what the call returned."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def peak_bytes() -> int:
    # Linux counts kilobytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def linear_child(n_pairs, n_items, d, alpha):
    """Fit one linear head; print seconds, and peak memory in item matrices."""
    small, y, _ = random_pairs(50, 60, 3)
    LinearBradleyTerry().fit(small, y)
    before = peak_bytes()
    pairs, y, _ = random_pairs(n_pairs, n_items, d)
    value = alpha if alpha == "auto" else float(alpha)
    seconds, head = timed(lambda: LinearBradleyTerry(alpha=value).fit(pairs, y))
    row = {
        "alpha": alpha,
        "chosen_alpha": head.alpha_,
        "n_pairs": n_pairs,
        "seconds": seconds,
        # Of the whole process, the items among it, above the bare interpreter.
        "peak_in_item_matrices": (peak_bytes() - before) / pairs.items.nbytes,
    }
    print(json.dumps(row))


FIGURES = {
    "siamese": siamese,
    "scoring": scoring,
    "ensemble": ensemble,
    "linear": linear,
    "scikit-learn": scikit_learn,
    "siamese-small": siamese_small,
    "ranker": ranker,
}

if __name__ == "__main__":
    linear_child(*(int(word) for word in sys.argv[1:4]), sys.argv[4])
