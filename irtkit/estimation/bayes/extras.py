"""The optional packages behind the engine, imported when they are needed and not before."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from irtkit.errors import ModelError

NEEDED = (
    "The Bayesian engine needs PyMC, ArviZ and nutpie ({name} is not installed): "
    "pip install -c constraints.txt 'irtkit[bayes]'."
)


def extra(name: str) -> Any:
    """Import an optional package or a module of this engine that needs one.

    Raises
    ------
    ModelError
        If it is not installed; the message says the command that installs it.
    """
    with warnings.catch_warnings():  # ArviZ 0.23 announces its successor on import
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError as error:
            absent = error.name or name
            if absent.startswith("irtkit"):
                raise
            raise ModelError(NEEDED.format(name=absent)) from error
