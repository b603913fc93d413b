"""Array types, the few array functions that every floor needs, and where arrays live.

Results are NumPy float64 and read-only. `Backend` moves arrays to torch and back for the E-step,
which is written once in the array-API standard. Nothing here knows about items or persons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.int8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Backend:
    """Where the E-step's arrays live.

    Parameters
    ----------
    name : str
        "numpy" or "torch".
    device : str
        A device of torch: "cpu", "cuda", "cuda:1".
    """

    name: str = "numpy"
    device: str = "cpu"

    def namespace(self) -> Any:
        """Return the array-API functions."""
        if self.name == "numpy":
            return np
        import array_api_compat.torch

        return array_api_compat.torch

    def array(self, values: npt.NDArray[Any]) -> Any:
        """Move a NumPy array there."""
        if self.name == "numpy":
            return values
        import torch

        return torch.as_tensor(np.array(values, copy=True), device=self.device)

    def problem(self) -> str:
        """Say in a sentence why this backend cannot be used; empty if it can."""
        if self.name not in ("numpy", "torch"):
            return f"There is no backend '{self.name}'; choose numpy or torch."
        if self.name == "numpy":
            ours = self.device == "cpu"
            return "" if ours else f"NumPy has no device '{self.device}'; choose backend torch."
        try:
            import array_api_compat.torch  # noqa: F401
            import torch

            torch.empty(0, device=self.device)
        except ImportError:
            return "The torch backend needs torch: pip install 'irtkit[ml]' -c constraints.txt."
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            return f"torch cannot use the device '{self.device}' here ({reason}). Choose cpu."
        return ""


def to_numpy(values: Any) -> FloatArray:
    """Bring an array of any backend back as NumPy float64."""
    if not isinstance(values, np.ndarray) and hasattr(values, "cpu"):
        values = values.cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def frozen(values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Return `values` as a read-only array of `dtype`, copied unless it already is one."""
    array = np.asarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.copy() if array is values or array.base is not None else array
        array.setflags(write=False)
    return array


def logsumexp(values: FloatArray, axis: int = -1) -> FloatArray:
    """Log of the sum of exponentials along `axis`, safe for any finite values."""
    largest = values.max(axis=axis, keepdims=True)
    total = np.log(np.exp(values - largest).sum(axis=axis, keepdims=True))
    return np.squeeze(largest + total, axis=axis)


def same(first: object, second: object) -> bool:
    """Whether two results hold the same types and values (NaN equals NaN).

    Frozen nouns do not define ``==``, because comparing arrays with it has no single answer.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        numeric = first.dtype.kind in "fc" and second.dtype.kind in "fc"
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=numeric)
    if isinstance(first, pd.DataFrame) and isinstance(second, pd.DataFrame):
        return bool(first.equals(second))
    if sp.issparse(first) and sp.issparse(second):
        return same_sparse(first, second)
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in dataclasses.fields(first)]
        return all(same(getattr(first, name), getattr(second, name)) for name in names)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (tuple, list)) and isinstance(second, (tuple, list)):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second) or (first != first and second != second)


def same_sparse(first: Any, second: Any) -> bool:
    """Whether two sparse arrays store the same cells."""
    one, two = first.tocsr(), second.tocsr()
    return one.shape == two.shape and all(
        np.array_equal(getattr(one, part), getattr(two, part))
        for part in ("indptr", "indices", "data")
    )
