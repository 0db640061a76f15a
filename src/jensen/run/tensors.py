"""Tensor files beside a journal: safetensors, named by the SHA-256 of their content, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jensen.errors import Misuse

if TYPE_CHECKING:
    from torch import Tensor

UNFINISHED = ".unfinished"


def pack(tensors: Mapping[str, Any]) -> bytes:
    """The content of a safetensors file.

    Args:
        tensors: Names and tensors (or arrays) of any shape and dtype that safetensors knows, on any device.

    Raises:
        Misuse: For what is no tensor, and for types that safetensors cannot hold.
    """
    import torch
    from safetensors.torch import save

    try:
        whole = {str(k): torch.as_tensor(t).detach().cpu().clone().contiguous() for k, t in tensors.items()}
        return save(whole)
    except (TypeError, ValueError, RuntimeError, KeyError) as e:
        text = " ".join(str(e).split())
        raise Misuse(f"the tensors cannot be kept ({text}); give dense tensors of a number type, by name") from e


def unpack(data: bytes) -> dict[str, Tensor]:
    """Tensors of a file's content, on the CPU."""
    from safetensors.torch import load

    return load(data)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def place(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def write(folder: Path, data: bytes, durable: bool) -> str:
    """Write a tensor file and return its name; a file of the same content is kept.

    Raises:
        OSError: Where it cannot be written; nothing is left behind.
    """
    name = digest(data)
    path = place(folder, name)
    if path.exists() and digest(path.read_bytes()) == name:
        return name
    folder.mkdir(exist_ok=True)
    draft = folder / f"{name}.{os.getpid()}{UNFINISHED}"
    try:
        with open(draft, "wb") as f:
            f.write(data)
            f.flush()
            if durable:
                os.fsync(f.fileno())
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(folder)
    return name


def read(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of a named file.

    Raises:
        Misuse: Where the file is gone, or is not what was written.
    """
    path = place(folder, name)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Misuse(f"the tensor file {path} is missing; keep the folder {folder.name} beside its journal") from None
    if digest(data) != name:
        raise Misuse(f"the tensor file {path} is damaged: its content does not hash to its name; restore or drop it")
    return unpack(data)


def sweep(folder: Path) -> None:
    """Remove what killed writers left unfinished; only with the journal's lock held."""
    for draft in folder.glob(f"*{UNFINISHED}"):
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
