"""Slices: tokenised ahead, in order, errors where they belong."""

import copy
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.base import clone

from embrm.embed import CausalLMEncoder, SentenceTransformerEncoder, sliced_encoder
from embrm.embed import sliced_encoder as hardware
from embrm.embed.sliced_encoder import (
    SlicedEncoder,
    _slices,
    cpu_flags,
    native_dtype,
    prefetched,
)
from embrm.exceptions import InvalidInputError

TEXTS = [("Why is the sky blue?", f"{n} {'because ' * (n % 4)}") for n in range(9)]


@pytest.fixture
def encoder(tiny_models, monkeypatch):
    """An encoder whose slices are of four texts."""
    monkeypatch.setattr(sliced_encoder, "_TEXTS_AT_ONCE", 4)
    return CausalLMEncoder(
        str(tiny_models["llama"]),
        template="plain",
        dtype="float32",
        store_dtype="float32",
    )


def test_encoders_that_load_a_model_are_sliced(encoder, minilm):
    """Both kinds."""
    assert isinstance(encoder, SlicedEncoder)
    assert isinstance(minilm, SlicedEncoder)


def test_slices_do_not_change_the_vectors(encoder, monkeypatch):
    """Order and values."""
    sliced = encoder.encode(TEXTS)
    monkeypatch.setattr(sliced_encoder, "_TEXTS_AT_ONCE", 100)
    atol = 1e-6 * np.abs(sliced).max()
    np.testing.assert_allclose(sliced, encoder.encode(TEXTS), atol=atol)


def test_later_slices_are_tokenised_beside_the_model(encoder, monkeypatch):
    """The first by the caller, the others by a thread."""
    threads = []
    tokens_of = CausalLMEncoder._tokens

    def noted(self, texts):
        threads.append(threading.current_thread() is threading.main_thread())
        return tokens_of(self, texts)

    monkeypatch.setattr(CausalLMEncoder, "_tokens", noted)
    encoder.encode(TEXTS)
    assert threads == [True, False, False]


def test_a_malformed_text_in_a_later_slice_is_an_error(encoder):
    """What the thread raises reaches the caller."""
    with pytest.raises(InvalidInputError, match="pairs"):
        encoder.encode([*TEXTS, ("no response", None)])


def test_no_texts_give_no_vectors(encoder):
    """Of the right length."""
    assert encoder.encode([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("n", "first", "lengths"),
    [(0, 128, []), (100, 128, [100]), (3000, 128, [128, 256, 512, 1024, 1024, 56])],
)
def test_slices_double_up_to_the_usual_length(n, first, lengths):
    """A GPU waits for a short one."""
    slices = _slices(n, first)
    assert [part.stop - part.start for part in slices] == lengths
    assert [part.start for part in slices] == np.cumsum([0, *lengths])[:-1].tolist()


@pytest.mark.parametrize(("device", "tokens"), [("cpu", 2048), ("cuda", 16384)])
def test_the_usual_batch_suits_the_device(device, tokens):
    """A CPU's cache is small, a GPU wants work."""
    encoder = SentenceTransformerEncoder(device=device)
    assert encoder._budget.tokens == tokens


def test_a_batch_that_was_asked_for_is_kept():
    """On any device."""
    assert SentenceTransformerEncoder(batch_tokens=300)._budget.tokens == 300


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Replace what the CPU says by a text."""

    def write(text):
        path = tmp_path / "cpuinfo"
        path.write_text(text)
        monkeypatch.setattr(hardware, "_CPUINFO", path)
        cpu_flags.cache_clear()

    yield write
    cpu_flags.cache_clear()


@pytest.mark.parametrize(
    ("line", "dtype"),
    [
        ("flags\t\t: fpu sse2 avx512f avx512_bf16", "bfloat16"),
        ("flags\t\t: fpu sse2 amx_bf16 amx_tile", "bfloat16"),
        ("Features\t: fp asimd bf16", "bfloat16"),
        ("flags\t\t: fpu sse2 avx2 avx512f", "float32"),
        ("model name\t: avx512_bf16 in a name is no flag", "float32"),
    ],
)
def test_the_dtype_of_a_cpu_follows_its_instruction_sets(cpuinfo, line, dtype):
    """A CPU computes in bfloat16 exactly where it has instructions for it."""
    cpuinfo(f"processor\t: 0\n{line}\n")
    assert native_dtype("cpu") == dtype


def test_a_system_that_says_nothing_of_its_cpu_gets_float32(monkeypatch, tmp_path):
    """Without /proc/cpuinfo the safe dtype is taken."""
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "missing")
    cpu_flags.cache_clear()
    assert native_dtype("cpu") == "float32"
    cpu_flags.cache_clear()


@pytest.mark.parametrize(("native", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_the_dtype_of_a_gpu_follows_what_torch_says(monkeypatch, native, dtype):
    """A GPU computes in bfloat16 only where it is native, not where it is emulated."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: native or including_emulation,
    )
    assert native_dtype("cuda:1") == dtype


def test_other_devices_get_float32(cpuinfo):
    """Of a device that is neither a CPU nor a GPU of NVIDIA nothing is assumed."""
    cpuinfo("flags : avx512_bf16\n")
    assert native_dtype("mps") == "float32"


def test_asking_the_cpu_does_not_import_torch():
    """An encoder can say who it is without torch."""
    code = (
        "import sys; from embrm.embed.sliced_encoder import native_dtype; "
        "native_dtype('cpu'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_parts(n):
    """However many there are."""
    assert list(prefetched(lambda part: part * 2, range(n))) == [
        2 * part for part in range(n)
    ]


def test_the_next_part_is_computed_while_this_one_is_used():
    """Otherwise this would wait for ever."""
    begun = {part: threading.Event() for part in range(3)}

    def work(part: int) -> int:
        begun[part].set()
        return part

    for part in prefetched(work, range(3)):
        assert begun[min(part + 1, 2)].wait(timeout=10)


def test_the_first_part_is_computed_by_the_caller():
    """Nothing runs beside it."""
    names = list(prefetched(lambda _: threading.current_thread().name, range(2)))
    assert names[0] == threading.current_thread().name
    assert names[1].startswith("embrm-prefetch")


def test_errors_are_raised_after_the_results_before_them():
    """What was computed is not lost."""
    got = []

    def work(part: int) -> float:
        return 1 / part

    with pytest.raises(ZeroDivisionError):
        got.extend(prefetched(work, [1, 2, 0, 4]))
    assert got == [1.0, 0.5]


def test_a_caller_that_stops_leaves_no_thread_behind():
    """The thread ends with the loop."""
    running = prefetched(str, range(10))
    assert next(running) == "0"
    running.close()
    assert not [thread for thread in threading.enumerate() if "prefetch" in thread.name]


@pytest.fixture(scope="module")
def vectors(minilm) -> np.ndarray:
    return minilm.encode([("Why?", "So.")])


@pytest.mark.usefixtures("vectors")
def test_copies_leave_the_loaded_model_behind(minilm):
    """Another process gets the description, not 90 MB of weights."""
    other = copy.deepcopy(minilm)
    assert "_loaded" not in vars(other)
    assert other == minilm


def test_cloning_an_estimator_keeps_the_encoder(minilm):
    """Cross-validation does not load the model in every fold."""
    assert clone(minilm, safe=False) is minilm
