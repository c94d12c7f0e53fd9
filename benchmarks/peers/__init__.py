"""Who is measured. Another library is another file here with a Peer, and a place in PEERS."""

from __future__ import annotations

from peers.ours import POOLKIT
from peers.peer import Function, Peer
from peers.torch_eager import TORCH

PEERS: dict[str, Peer] = {peer.name: peer for peer in (POOLKIT, TORCH)}

__all__ = ["PEERS", "POOLKIT", "TORCH", "Function", "Peer"]
