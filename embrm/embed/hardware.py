"""What the hardware computes well: whether bfloat16 is native to it."""

from functools import cache
from pathlib import Path

from embrm._optional import import_optional

_CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def native_dtype(device: str | None = None) -> str:
    """Name the dtype in which a model computes fastest at no loss that matters.

    Parameters
    ----------
    device : str, optional
        Device of torch; None is the GPU if there is one, else the CPU.

    Returns
    -------
    {"bfloat16", "float32"}
        bfloat16 where the hardware multiplies it natively: CPUs with AMX,
        AVX-512 BF16 or Arm's BF16, and NVIDIA GPUs from Ampere on. Elsewhere it is
        emulated, and slower than float32.

    Notes
    -----
    torch is imported only where there may be a GPU, so that an encoder can say who
    it is without it.

    Examples
    --------
    >>> native_dtype("cpu") in ("bfloat16", "float32")
    True
    """
    kind = (device or "").partition(":")[0]
    may_be_gpu = kind == "cuda" or (not kind and _NVIDIA_DRIVER.exists())
    if may_be_gpu:
        torch = import_optional("torch", extra="embed")
        if torch.cuda.is_available():
            is_native = torch.cuda.is_bf16_supported(including_emulation=False)
            return "bfloat16" if is_native else "float32"
    is_cpu = kind in ("", "cpu")
    return "bfloat16" if is_cpu and _CPU_FLAGS & cpu_flags() else "float32"


@cache
def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the first CPU; none where Linux does not say."""
    if not _CPUINFO.is_file():
        return frozenset()
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
