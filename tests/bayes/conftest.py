"""ArviZ announces its next version when it is first imported; that is no fault of a test."""

import contextlib
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    with contextlib.suppress(ImportError):
        import nutpie  # noqa: F401
        import pymc  # noqa: F401
