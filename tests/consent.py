"""What is written down of the two people of the tests' avatars."""

CONSENT = {f"person{i}": {"consent": f"person {i} agreed on 2026-11-28", "licence": "CC0-1.0"} for i in range(2)}
