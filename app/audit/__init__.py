"""The audit log: a Merkle tree over the events, its checkpoints, proofs and verification (RFC 9162)."""
