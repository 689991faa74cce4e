"""Exact memory: what is forgotten first, and what makes two texts the same."""

import hashlib

from processors.memory import Keys, Memory
from topics.messages import Verdict


def verdict(label: str) -> Verdict:
    return Verdict(
        tier="memory", label=label, severity=None, confidence=0.9, priority=1, fields={}, summary=None, model="m"
    )


def test_the_one_unused_longest_is_forgotten_first():
    memory = Memory(entries_max=2)
    memory.put(b"a", verdict("a"))
    memory.put(b"b", verdict("b"))
    memory.get(b"a")
    memory.put(b"c", verdict("c"))
    assert memory.get(b"b") is None
    assert memory.get(b"a") == verdict("a")
    assert memory.get(b"c") == verdict("c")


def test_an_answer_holds_for_one_tenant_stream_policy_and_model():
    keys = {
        Keys(stream, version, model).key(tenant, text)
        for stream in ("logs", "mail")
        for version in ("1", "2")
        for model in ("nano", "other")
        for tenant in ("acme", "umbrella")
        for text in ("a", "b")
    }
    assert len(keys) == 32


def test_a_key_is_the_same_in_every_process_and_version():
    """Workers tell each other of answers by these keys."""
    scope = hashlib.blake2b(b'["logs","1","nano"]').digest()
    keys = Keys("logs", "1", "nano")
    for tenant, text in (
        ("acme", "a line"),
        ("", ""),
        ("\udcff", "\udc80 of bytes that are no text"),
        ("acme", "ä" * 500),
    ):
        told = f"{len(tenant)}:{tenant}{text}".encode(errors="surrogatepass")
        assert keys.key(tenant, text) == hashlib.blake2b(told, digest_size=32, key=scope).digest()
        assert keys.key(tenant, text) == keys.key(tenant, text)


def test_a_tenant_cannot_reach_into_the_text():
    keys = Keys("logs", "1", "nano")
    assert keys.key("ab", "c") != keys.key("a", "bc")
    assert keys.key("1:a", "b") != keys.key("1", ":ab")


def test_the_same_text_has_the_same_key_in_every_process():
    assert Keys("logs", "1", "nano").key("acme", "a") == Keys("logs", "1", "nano").key("acme", "a")
