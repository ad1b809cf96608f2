"""Keys and what is made with them: Ed25519 keys under names, key files, C2SP signed notes, and keyed pseudonyms."""
