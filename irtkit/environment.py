"""What a report of a fault should tell of the machine: versions, processors, threads, locale.

No path, no name of a user or a machine is in it, so that it can be shown to anyone.
"""

from __future__ import annotations

import importlib.util
import locale
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from threadpoolctl import threadpool_info

from irtkit.threads import n_threads

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def environment() -> dict[str, str]:
    """Tell what irtkit runs on.

    Returns
    -------
    dict of str to str
        Names and values, in a fixed order: irtkit, Python, the system, processors, the linear
        algebra in use, the locale, variables that set threads, then each package that irtkit can
        use with its version or "not installed".
    """
    found = {
        "irtkit": version("irtkit"),
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "threads that irtkit uses": str(n_threads()),
        "linear algebra": _linear_algebra(),
        "GPU": _gpu(),
        "locale": f"{locale.setlocale(locale.LC_CTYPE)}, output in {sys.stdout.encoding}",
    }
    found |= {name: os.environ[name] for name in VARIABLES if name in os.environ}
    return found | {name: _version(name) for name in _packages()}


def _packages() -> list[str]:
    """Name the packages that irtkit asks for, those of ordinary installations first."""
    asked = [line for line in requires("irtkit") or () if "irtkit[" not in line]
    plain = [line for line in asked if "extra ==" not in line]
    extras = [line for line in asked if "extra ==" in line and "'dev'" not in line]
    extras = [line for line in extras if "'docs'" not in line]
    names = [_name(line) for line in (*plain, *sorted(extras))]
    return list(dict.fromkeys(names))


def _name(requirement: str) -> str:
    """Cut the name off a requirement such as ``numpy>=2.0; python_version < '3.12'``."""
    end = next((n for n, mark in enumerate(requirement) if mark in " <>=!~;[("), len(requirement))
    return requirement[:end]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _linear_algebra() -> str:
    """Tell which libraries multiply matrices, with how many threads."""
    pools = {
        f"{pool['internal_api']} {pool['version'] or ''} ({pool['num_threads']} threads)"
        for pool in threadpool_info()
    }
    return ", ".join(sorted(pools)) or "unknown"


def _gpu() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown: torch is not installed"
    import torch

    if not torch.cuda.is_available():
        return f"none that torch {torch.__version__} can use"
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (CUDA {torch.version.cuda})"
