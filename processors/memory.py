"""Exact memory: what was answered once about a text is not asked again."""

import hashlib
from collections import OrderedDict

import orjson

from processors.items import Item
from processors.proposals import Proposal
from topics.limits import MEMORY_ENTRIES_MAX
from topics.messages import Verdict

Key = bytes


class Memory:
    """Verdicts by key, in this process; the one unused longest is forgotten first. One for all streams."""

    def __init__(self, entries_max: int = MEMORY_ENTRIES_MAX) -> None:
        self._entries: OrderedDict[Key, Verdict] = OrderedDict()
        self._entries_max = entries_max

    def get(self, key: Key) -> Verdict | None:
        verdict = self._entries.get(key)
        if verdict is not None:
            self._entries.move_to_end(key)
        return verdict

    def put(self, key: Key, verdict: Verdict) -> None:
        self._entries[key] = verdict
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def forget(self, key: Key) -> None:
        """Also where it is not there."""
        self._entries.pop(key, None)


class Keys:
    """Keys of one stream under one policy and model: an answer of another is not an answer here."""

    def __init__(self, stream: str, policy_version: str, model: str) -> None:
        self._scope = hashlib.blake2b(orjson.dumps([stream, policy_version, model])).digest()

    def key(self, tenant: str, text: str) -> Key:
        """256 bits of a cryptographic hash: nobody can write a text that answers for another."""
        # The length keeps ("ab", "c") and ("a", "bc") apart; tenants and texts come from outside.
        told = f"{len(tenant)}:{tenant}{text}".encode(errors="surrogatepass")
        return hashlib.blake2b(told, digest_size=32, key=self._scope).digest()


class Exactly:
    """Proposes what was answered about the very same text."""

    def __init__(self, memory: Memory, keys: Keys) -> None:
        self._memory = memory
        self._keys = keys

    def propose(self, item: Item) -> Proposal | None:
        verdict = self._memory.get(self._keys.key(item.tenant, item.memory_text))
        return None if verdict is None else Proposal(verdict, 1.0)
