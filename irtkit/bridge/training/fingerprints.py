"""What makes two training runs the same: data, network, options, versions.

A run that was interrupted is continued only where all of them are equal.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from irtkit.bridge.training.train import Work

PACKAGES = ("irtkit", "torch", "transformers")


def identity(work: Work) -> dict[str, Any]:
    """Describe a run as a document of JSON, data and weights by their SHA-256."""
    classifier = work.classifier
    start = f"{classifier.labels} {classifier.identity()} {of_weights(classifier.module)}"
    found = {
        "training examples": work.examples.fingerprint(),
        "development examples": work.development and work.development.fingerprint(),
        "starting classifier": _sha(start.encode()),
        "options": asdict(work.method),
        "versions": {name: version(name) for name in PACKAGES},
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def of_weights(module: nn.Module) -> str:
    """Hash the parameters and buffers of a network with their names."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
