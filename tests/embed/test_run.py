"""embed_items gives the same vectors with and without a cache, and loses no work."""

import hashlib
import json
import os
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embrm.embed import BatchReport, Fingerprint, embed_items, item_keys
from embrm.embed.cache import VectorCache, VectorStore
from embrm.embed.run import EmbeddingReport, Slices, add_reports, warn_if_truncated
from embrm.exceptions import (
    DamagedSegmentWarning,
    EmbrmError,
    FingerprintMismatchError,
    InvalidInputError,
    TruncationWarning,
)

DIM = 3


class FakeEncoder:
    """Vectors from a hash of the text; counts what it embeds."""

    def __init__(self, seed=0, dtype="float16", **fields):
        self.fingerprint = Fingerprint(
            {"kind": "fake", "seed": seed, **fields}, DIM, dtype
        )
        self.calls = []
        self.before_call = lambda n: None

    def encode(self, texts, *, on_batch=None):
        self.before_call(len(self.calls))
        self.calls.append(list(texts))
        seed = self.fingerprint.fields["seed"]
        digests = [hashlib.sha256(f"{seed}{t}".encode()).digest() for t in texts]
        if on_batch:
            on_batch(BatchReport(len(texts), n_tokens=2 * len(texts)))
        numbers = np.array([list(digest[:DIM]) for digest in digests])
        return numbers.astype(self.fingerprint.dtype)

    @property
    def n_embedded(self):
        return sum(map(len, self.calls))


def make_texts(n, start=0):
    return [(f"prompt {i // 2}", f"response {i}") for i in range(start, start + n)]


@pytest.fixture
def encoder():
    """A fake encoder."""
    return FakeEncoder()


@pytest.fixture
def cache(tmp_path):
    """An empty cache."""
    return VectorCache(tmp_path / "cache")


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.integers(0, 9), max_size=15),
    st.lists(st.integers(0, 9), max_size=8),
    st.integers(1, 5),
)
def test_vectors_with_and_without_a_cache_are_bitwise_equal(
    tmp_path_factory, wanted, cached_before, commit_items
):
    """Claim: whatever is cached, repeated and sliced, the vectors are the same bits."""
    texts = make_texts(10)
    cache = VectorCache(tmp_path_factory.mktemp("cache"))
    embed_items([texts[i] for i in cached_before], FakeEncoder(), cache)
    asked = [texts[i] for i in wanted]
    with_cache = embed_items(asked, FakeEncoder(), cache, commit_items=commit_items)
    without = embed_items(asked, FakeEncoder())
    direct = FakeEncoder().encode(asked) if asked else np.empty((0, DIM), "float16")
    assert with_cache.vectors.tobytes() == without.vectors.tobytes() == direct.tobytes()
    assert with_cache.vectors.shape == without.vectors.shape == (len(wanted), DIM)
    assert with_cache.vectors.dtype == without.vectors.dtype == "float16"
    assert with_cache.n_items == len(wanted)
    assert with_cache.n_unique == len(set(wanted))
    assert with_cache.n_hits == len(set(wanted) & set(cached_before))
    assert with_cache.n_hits + with_cache.n_embedded == with_cache.n_unique


def test_each_different_text_is_embedded_once(encoder):
    """Claim: repetitions cost nothing, in the order of first appearance."""
    one, two, three = make_texts(3)
    done = embed_items([two, one, two, three, one], encoder)
    assert encoder.calls == [[two, one, three]]
    assert (done.n_items, done.n_unique, done.n_embedded) == (5, 3, 3)


def test_a_string_prompt_and_its_message_are_one_text(encoder):
    """Claim: both spellings share a vector."""
    message = [{"role": "user", "content": "Hi"}]
    assert embed_items([("Hi", "Yes"), (message, "Yes")], encoder).n_unique == 1


def test_with_everything_in_the_cache_the_encoder_is_not_called(encoder, cache):
    """Claim: a second run embeds nothing and returns the same bits."""
    first = embed_items(make_texts(20), encoder, cache)
    encoder.before_call = pytest.fail
    second = embed_items(make_texts(20), encoder, VectorCache(cache.directory))
    assert second.vectors.tobytes() == first.vectors.tobytes()
    assert (second.n_hits, second.n_embedded, second.n_tokens) == (20, 0, 0)


def test_a_cached_run_is_a_view_of_the_file(encoder, cache):
    """Claim: texts in the order in which they were embedded are not copied."""
    embed_items(make_texts(20), encoder, cache)
    done = embed_items(make_texts(10, start=5), encoder, cache)
    assert not done.vectors.flags.owndata
    assert not done.vectors.flags.writeable


def test_vectors_are_read_only_without_a_cache_too(encoder):
    """Claim: with and without a cache the result behaves the same."""
    assert not embed_items(make_texts(2), encoder).vectors.flags.writeable


def test_a_path_is_a_cache(encoder, tmp_path):
    """Claim: cache= takes a directory."""
    embed_items(make_texts(3), encoder, str(tmp_path / "cache"))
    assert embed_items(make_texts(3), encoder, tmp_path / "cache").n_hits == 3


def test_no_texts_give_empty_vectors(encoder, cache):
    """Claim: shape (0, d), no call, nothing created."""
    for where in (None, cache):
        done = embed_items([], encoder, where)
        assert (done.vectors.shape, done.n_unique) == ((0, DIM), 0)
    assert encoder.calls == []
    assert not cache.directory.exists()


def test_another_encoder_shares_nothing(encoder, cache):
    """Claim: the same texts with another fingerprint are embedded again."""
    embed_items(make_texts(3), encoder, cache)
    assert embed_items(make_texts(3), FakeEncoder(seed=1), cache).n_hits == 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, EmbrmError])
def test_a_run_that_is_stopped_goes_on_where_it_was(encoder, cache, error):
    """Claim: all texts embedded before the error are kept, and only they."""

    def stop(n_calls):
        if n_calls == 3:
            raise error("stop")

    encoder.before_call = stop
    with pytest.raises(error):
        embed_items(make_texts(20), encoder, cache, commit_items=4)
    again = FakeEncoder()
    done = embed_items(make_texts(20), again, VectorCache(cache.directory))
    assert (done.n_hits, again.n_embedded) == (12, 8)
    np.testing.assert_array_equal(done.vectors, FakeEncoder().encode(make_texts(20)))


def test_a_stopped_run_keeps_what_was_not_yet_committed(encoder, cache, monkeypatch):
    """Claim: the texts embedded since the last commit are kept too."""
    monkeypatch.setattr("embrm.embed.run._ENCODE_ITEMS", 2)

    def stop(n_calls):
        if n_calls == 2:
            raise KeyboardInterrupt

    encoder.before_call = stop
    with pytest.raises(KeyboardInterrupt):
        embed_items(make_texts(20), encoder, cache)
    assert embed_items(make_texts(20), FakeEncoder(), cache).n_hits == 6


def test_an_interrupt_says_how_to_go_on(encoder, cache):
    """Claim: Ctrl-C names the texts done and the way to resume."""

    def stop(n_calls):
        if n_calls == 2:
            raise KeyboardInterrupt

    encoder.before_call = stop
    got = r"stopped after 8 of 20 texts.*with a cache they are kept: run the same again"
    with pytest.raises(KeyboardInterrupt, match=got):
        embed_items(make_texts(20), encoder, cache, commit_items=4)


def test_slices_are_committed_by_number(encoder, cache):
    """Claim: one segment for each commit_items texts."""
    embed_items(make_texts(10), encoder, cache, commit_items=4)
    store = cache.open(encoder.fingerprint)
    assert [len(segment) for segment in store.segments] == [4, 4, 2]


def test_a_fast_encoder_gets_larger_portions(encoder):
    """Claim: portions double, up to the length of a commit."""
    embed_items(make_texts(9000), encoder)
    assert [len(call) for call in encoder.calls] == [512, 1024, 2048, 4096, 1320]


class Clock:
    """Stands in for the module time."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    clock = Clock()
    monkeypatch.setattr("embrm.embed.run.time", clock)
    monkeypatch.setattr("embrm.embed.run.time", clock)
    monkeypatch.setattr("embrm.embed.run._ENCODE_ITEMS", 4)
    return clock


def test_slices_are_committed_by_time(encoder, cache, clock):
    """Claim: after commit_seconds a slice is committed however small."""

    def work(n_calls):
        clock.now += 35

    encoder.before_call = work
    embed_items(make_texts(20), encoder, cache)
    store = cache.open(encoder.fingerprint)
    assert [len(segment) for segment in store.segments] == [8, 8, 4]


def test_a_very_slow_encoder_gets_smaller_portions(encoder, cache, clock):
    """Claim: portions are halved until one takes less than commit_seconds."""

    def work(n_calls):
        clock.now += 100

    encoder.before_call = work
    embed_items(make_texts(9), encoder, cache)
    assert [len(call) for call in encoder.calls] == [4, 2, 1, 1, 1]


def test_seconds_are_wall_time(encoder, clock):
    """Claim: the report holds the time of the whole run."""

    def work(n_calls):
        clock.now += 7

    encoder.before_call = work
    assert embed_items(make_texts(8), encoder).seconds == 14


def test_a_damaged_segment_costs_only_its_rows(encoder, cache):
    """Claim: exactly the texts of the damaged segment are embedded again."""
    texts = make_texts(12)
    first = embed_items(texts, encoder, cache, commit_items=4)
    expected = first.vectors.copy()
    path = cache.open(encoder.fingerprint).segments[1].path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    again = FakeEncoder()
    with pytest.warns(DamagedSegmentWarning, match="will be embedded again"):
        second = embed_items(texts, again, VectorCache(cache.directory))
    assert again.calls == [texts[4:8]]
    np.testing.assert_array_equal(second.vectors, expected)
    assert embed_items(texts, again, VectorCache(cache.directory)).n_hits == 12


def test_what_another_process_embedded_first_counts(encoder, cache):
    """Claim: the vectors returned are those that every later run will get."""
    texts = make_texts(4)
    other = np.full((4, DIM), 0.25, "float16")

    def meanwhile(n_calls):
        store = VectorStore(
            cache.directory / encoder.fingerprint.digest, encoder.fingerprint
        )
        store.append(item_keys(texts), other)

    encoder.before_call = meanwhile
    np.testing.assert_array_equal(embed_items(texts, encoder, cache).vectors, other)


def test_tokens_are_summed(encoder):
    """Claim: the report holds the tokens of all batches."""
    assert embed_items(make_texts(1100), encoder).n_tokens == 2200


class Truncating(FakeEncoder):
    """Reports some prompts, and perhaps responses, as truncated."""

    truncated, responses = 12, 0

    def encode(self, texts, *, on_batch=None):
        on_batch(BatchReport(len(texts), 0, self.truncated, self.responses))
        return super().encode(texts)


def test_truncation_is_reported_once_with_its_share(cache):
    """Claim: one warning at the end, and none when all comes from the cache."""
    encoder = Truncating(max_tokens=256)
    share = r"12 of 400 prompts \(3\.0%\) lost their beginning to the 256-token limit$"
    with pytest.warns(TruncationWarning, match=share) as caught:
        done = embed_items(make_texts(400), encoder, cache)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert (done.n_truncated, done.n_response_truncated) == (12, 0)
    assert embed_items(make_texts(400), encoder, cache).n_truncated == 0


def test_truncated_responses_are_reported_too():
    """Claim: responses longer than the limit are named, also without a known limit."""
    encoder = Truncating()
    encoder.responses = 4
    got = r"the encoder's length limit; so did 4 responses \(1\.0%\)"
    with pytest.warns(TruncationWarning, match=got):
        assert embed_items(make_texts(400), encoder).n_response_truncated == 4


def test_vectors_that_are_not_finite_are_refused_by_item(encoder, cache):
    """Claim: the error names the item among all texts, and nothing bad is stored."""

    def encode(texts, *, on_batch=None):
        return np.array(
            [[np.nan if "7" in r else 1.0] * DIM for _, r in texts], "float16"
        )

    encoder.encode = encode
    with pytest.raises(InvalidInputError, match="NaN or infinity at item 8"):
        embed_items([*make_texts(1), *make_texts(9)], encoder, cache)
    assert cache.stores() == []


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("change", ["dtype", "dim"])
def test_an_encoder_that_is_not_its_fingerprint_is_refused(
    encoder, cache, cached, change
):
    """Claim: other d or dtype than promised never reaches the cache or the caller."""
    vectors = np.zeros((2, DIM), "float64") if change == "dtype" else np.zeros((2, 9))
    encoder.encode = lambda texts, on_batch=None: vectors
    with pytest.raises(FingerprintMismatchError, match="d = 3 and dtype float16"):
        embed_items(make_texts(2), encoder, cache if cached else None)


def test_a_full_disk_ends_the_run_with_one_clean_error(encoder, cache, monkeypatch):
    """Claim: what was committed is kept, and the error is not raised twice."""
    fsync = os.fsync

    def refuse(handle):
        if len(list(cache.directory.glob("*/segments/*.arrow"))) == 2:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(EmbrmError, match=r"write a segment.*free space") as caught:
        embed_items(make_texts(20), encoder, cache, commit_items=4)
    assert caught.value.__context__ is caught.value.__cause__
    monkeypatch.undo()
    assert embed_items(make_texts(20), FakeEncoder(), cache).n_hits == 8


def test_bad_texts_are_refused_before_anything_is_embedded(encoder):
    """Claim: the error names the item."""
    with pytest.raises(InvalidInputError, match="NoneType at item 1"):
        embed_items([("a", "b"), ("a", None)], encoder)
    assert encoder.calls == []


@pytest.mark.parametrize(
    "limits",
    [{"commit_items": 0}, {"commit_seconds": 0}, {"commit_seconds": float("nan")}],
)
def test_limits_must_be_positive(encoder, limits):
    """Claim: a slice has at least one item and some time."""
    with pytest.raises(InvalidInputError, match=r"commit_items >= 1.*defaults"):
        embed_items(make_texts(1), encoder, **limits)


def test_the_report_is_json(encoder):
    """Claim: to_json holds the counts and not the vectors."""
    values = json.loads(json.dumps(embed_items(make_texts(3), encoder).to_json()))
    assert values["n_embedded"] == 3
    assert "vectors" not in values


def test_the_report_reads_as_a_sentence(encoder, tmp_path):
    """Claim: counts, cache share and speed first; then that nothing was embedded."""
    texts = [("p", "a"), ("p", "b"), ("p", "a")]
    first = str(embed_items(texts, encoder, tmp_path))
    assert first.startswith("3 items (2 different): 0 from the cache (0%), 2 embedded")
    again = str(embed_items(texts, encoder, tmp_path))
    assert again == "3 items (2 different): 100% from the cache, nothing embedded"


class DriftingEncoder(FakeEncoder):
    """Says something else about itself each time, but knows itself when shown."""

    def recognise(self, known):
        own = [one for one in known if one.fields["kind"] == "fake"]
        self.fingerprint = next(iter(own), self.fingerprint)
        return bool(own)


def test_an_encoder_that_recognises_its_store_finds_its_vectors_there(cache):
    """A server's noise in the fingerprint does not found a new store every time."""
    first, second = DriftingEncoder(noise=0.1), DriftingEncoder(noise=0.2)
    embed_items(make_texts(4), first, cache)
    again = embed_items(make_texts(4), second, cache)
    assert (again.n_hits, again.n_embedded) == (4, 0)


KEYS = item_keys([("p", str(n)) for n in range(8)])
VECTORS = np.arange(8, dtype="float32")[:, None]


class Store:
    """Notes what is appended; may be made to wait or to fail."""

    def __init__(self):
        self.written, self.threads = [], set()
        self.go_on = threading.Event()
        self.go_on.set()
        self.error = None

    def append(self, keys, vectors):
        self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        self.threads.add(threading.current_thread())
        self.written.append(vectors[:, 0].tolist())


@pytest.fixture
def store():
    """A store that keeps lists."""
    return Store()


def add(slices, *rows):
    for row in rows:
        slices.add(KEYS[row : row + 1], VECTORS[row : row + 1])


def test_slices_keep_their_order_and_the_rest_comes_last(store):
    """Claim: vectors arrive in the order in which they were added."""
    slices = Slices(store, n_items=3, seconds=60)
    add(slices, *range(8))
    slices.close()
    assert store.written == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_the_caller_does_not_wait_for_the_first_slice(store):
    """Claim: more is taken while a slice is being written, by one other thread."""
    store.go_on.clear()
    slices = Slices(store, n_items=2, seconds=60)
    add(slices, 0, 1, 2)
    assert store.written == []
    store.go_on.set()
    slices.close()
    assert store.written == [[0, 1], [2]]
    assert len(store.threads) == 1
    assert threading.current_thread() not in store.threads


def test_one_slice_at_most_is_in_flight(store):
    """Claim: the second slice waits for the first."""
    store.go_on.clear()
    slices = Slices(store, n_items=1, seconds=60)
    add(slices, 0)
    second = threading.Thread(target=add, args=(slices, 1))
    second.start()
    second.join(0.05)
    assert second.is_alive()
    store.go_on.set()
    second.join()
    slices.close()
    assert store.written == [[0], [1]]


def test_an_error_is_raised_once_by_the_next_slice(store):
    """Claim: what waits is given up, and close has nothing left to complain of."""
    slices = Slices(store, n_items=1, seconds=60)
    store.error = EmbrmError("full")
    add(slices, 0)
    with pytest.raises(EmbrmError, match="full"):
        add(slices, 1)
    slices.close()
    assert store.written == []


def test_close_raises_the_error_of_the_last_slice(store):
    """Claim: no slice fails in silence."""
    slices = Slices(store, n_items=9, seconds=60)
    add(slices, 0)
    store.error = EmbrmError("full")
    with pytest.raises(EmbrmError, match="full"):
        slices.close()


def test_an_interrupt_while_waiting_loses_nothing(store, monkeypatch):
    """Claim: Ctrl-C during the wait leaves both slices to be written by close."""
    slices = Slices(store, n_items=2, seconds=60)
    add(slices, 0, 1)
    in_flight = slices._in_flight

    class Interrupted:
        def result(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(slices, "_in_flight", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        add(slices, 2, 3)
    monkeypatch.setattr(slices, "_in_flight", in_flight)
    slices.close()
    assert store.written == [[0, 1], [2, 3]]


def test_close_ends_the_thread(store):
    """Claim: no thread outlives its slices."""
    slices = Slices(store, n_items=1, seconds=60)
    add(slices, 0)
    slices.close()
    assert not any(thread.is_alive() for thread in store.threads)


WHO = Fingerprint({"kind": "fake", "max_tokens": 8}, dim=2, dtype="float32")


def test_an_report_without_tokens_has_no_speed():
    """Claim: an encoder that counts no tokens gets no tokens per second."""
    words = str(EmbeddingReport(2, 2, 0, 2, 0, 0, 0, 1.0))
    assert words == "2 items: 0 from the cache (0%), 2 embedded in 1.0 s"


def test_an_report_says_what_was_cut():
    """Claim: truncated prompts and responses are part of the sentence."""
    words = str(EmbeddingReport(2, 2, 0, 2, 1, 1, 0, 1.0))
    assert words.endswith("1 prompts cut at the beginning, 1 responses too")


def test_an_report_is_json():
    """Claim: to_json holds every count by name."""
    report = EmbeddingReport(5, 4, 1, 3, 0, 0, 600, 2.0)
    assert EmbeddingReport(**report.to_json()) == report


def test_reports_add_up_count_by_count():
    """Claim: no count is lost or mixed up with another."""
    one, other = BatchReport(1, 2, 3, 4), BatchReport(10, 20, 30, 40)
    assert add_reports(one, other) == BatchReport(11, 22, 33, 44)


def test_the_warning_names_the_limit_and_points_at_the_caller():
    """Claim: stacklevel counts from whoever calls."""
    with pytest.warns(
        TruncationWarning, match=r"1 of 4 prompts \(25.0%\).*8-token"
    ) as w:
        warn_if_truncated(BatchReport(4, 9, 1), 4, WHO)
    assert w[0].filename == __file__


def test_nothing_cut_gives_no_warning(recwarn):
    """Claim: silence is the rule."""
    warn_if_truncated(BatchReport(4, 9), 4, WHO)
    assert not recwarn
