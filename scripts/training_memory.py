"""Lets a process keep the memory that it freed, for training on a CPU."""

import ctypes

# mallopt()'s names, from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEPT_BYTES = (1 << 31) - 1
AHEAD_BYTES = 256 << 20


def keep_freed_memory() -> bool:
    """Every step of training frees the same large tensors and makes them anew. glibc gives such
    memory back to the kernel at once, and faulting its pages in again takes longer than the
    arithmetic. False where the C library is another one."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, KEPT_BYTES),
                mallopt(M_TOP_PAD, AHEAD_BYTES)])
