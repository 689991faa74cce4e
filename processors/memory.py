"""Exact memory: what was answered once about a text is not asked again."""

import functools
import hashlib
from collections import OrderedDict

import orjson

from processors.items import Item
from processors.proposals import Proposal
from topics.limits import MEMORY_ENTRIES_MAX, MEMORY_TENANTS_MAX
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
        scope = hashlib.blake2b(orjson.dumps([stream, policy_version, model])).digest()
        self._begun = hashlib.blake2b(digest_size=32, key=scope)
        # To copy a hash that is begun costs half of what beginning it does
        self._of_tenant = functools.lru_cache(MEMORY_TENANTS_MAX)(self._begin)

    def key(self, tenant: str, text: str) -> Key:
        """256 bits of a cryptographic hash: nobody can write a text that answers for another."""
        digest = self._of_tenant(tenant).copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _begin(self, tenant: str) -> "hashlib.blake2b":
        # The length keeps ("ab", "c") and ("a", "bc") apart; tenants and texts come from outside.
        begun = self._begun.copy()
        begun.update(f"{len(tenant)}:{tenant}".encode(errors="surrogatepass"))
        return begun


class Exactly:
    """Proposes what was answered about the very same text."""

    def __init__(self, memory: Memory, keys: Keys) -> None:
        self._memory = memory
        self._keys = keys

    def propose(self, item: Item) -> Proposal | None:
        verdict = self._memory.get(self._keys.key(item.tenant, item.memory_text))
        return None if verdict is None else Proposal(verdict, 1.0)
