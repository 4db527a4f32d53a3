"""How many threads a fit takes of OpenMP and BLAS; of torch's, torch_mlp says."""

from __future__ import annotations

import threading

from threadpoolctl import threadpool_limits

_LIMITED = threading.local()


def limit(threads: int) -> None:
    """Limit OpenMP and BLAS, once per thread (OpenMP counts per thread).

    Not restored: two fits side by side would restore each other's limit, and more threads would change the last bits.
    """
    if getattr(_LIMITED, "threads", None) != threads:
        threadpool_limits(limits=threads)
        _LIMITED.threads = threads
