"""The optional packages behind training, imported when they are needed and not before."""

from __future__ import annotations

import importlib
from typing import Any

from irtkit.errors import ModelError

NEEDED = (
    "Training and running classifiers needs PyTorch and Transformers ({name} is not installed): "
    "pip install -c constraints.txt 'irtkit[ml]'."
)


def extra(name: str) -> Any:
    """Import an optional package, or a module of this room that needs one.

    Raises
    ------
    ModelError
        If it is not installed; the message says the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        absent = error.name or name
        if absent.startswith("irtkit"):
            raise
        raise ModelError(NEEDED.format(name=absent)) from error
