"""Which dtype is native to the hardware, from what the hardware says of itself."""

import subprocess
import sys

import pytest

from embrm.embed import hardware
from embrm.embed.hardware import cpu_flags, native_dtype


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
        "import sys; from embrm.embed.hardware import native_dtype; "
        "native_dtype('cpu'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
