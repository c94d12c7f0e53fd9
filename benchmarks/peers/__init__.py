"""Who is measured. Another library is another file here with a Peer, and a place in PEERS."""

from __future__ import annotations

from peers.averages import AVERAGES
from peers.jax import JAX
from peers.onnxruntime import ONNX_RUNTIME
from peers.opencv import OPENCV
from peers.openvino import OPENVINO
from peers.ours import POOLKIT
from peers.peer import Function, Peer
from peers.scipy import SCIPY
from peers.tensorflow import TENSORFLOW
from peers.torch_compile import COMPILE
from peers.torch_eager import TORCH
from peers.torch_onednn import ONEDNN
from peers.windows import ONE_HOT, UNFOLD, VIEWS

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (POOLKIT, TORCH, COMPILE, ONEDNN, ONNX_RUNTIME, OPENVINO, JAX, TENSORFLOW, OPENCV, SCIPY)
}

#: How people write with torch what torch does not have; recipes.py measures them.
RECIPES: tuple[Peer, ...] = (TORCH, AVERAGES, UNFOLD, VIEWS, ONE_HOT)

__all__ = ["PEERS", "POOLKIT", "RECIPES", "TORCH", "Function", "Peer"]
