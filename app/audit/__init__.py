"""The transparency log over events: Merkle tree, checkpoints, proofs and verification (RFC 9162)."""
