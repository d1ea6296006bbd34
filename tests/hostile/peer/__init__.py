"""A raw peer: what an attacker needs, written from docs/native_protocol.md and nothing else."""
