"""Signatures: Ed25519 keys under names, the files they are kept in, and C2SP signed notes."""
