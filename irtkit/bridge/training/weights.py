"""The weights of a network, out of it and into a file of safetensors and back.

A pickle is neither written nor read.
"""

from __future__ import annotations

import copy
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from irtkit.errors import FileError

WEIGHTS = "model.safetensors"


def weights_of(module: nn.Module, *, trained_only: bool = False) -> dict[str, Tensor]:
    """Copy parameters and buffers to the CPU, each with memory of its own.

    Parameters
    ----------
    module : torch.nn.Module
    trained_only : bool
        Leave out parameters that training does not change.
    """
    fixed = {name for name, p in module.named_parameters() if trained_only and not p.requires_grad}
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in module.state_dict().items()
        if name not in fixed
    }


def save_weights(module: nn.Module, folder: str | Path) -> None:
    """Write the weights of any network into a folder, which is made if need be."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file(weights_of(module), Path(folder) / WEIGHTS)


def with_weights(module: nn.Module, folder: Path) -> nn.Module:
    """Copy a network and give it the weights in a folder.

    Raises
    ------
    FileError
        If they are not there, or not this network's.
    """
    module = copy.deepcopy(module)
    try:
        module.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise FileError(f"The weights in {folder} are not this network's: {reason}") from error
    return module.eval()
