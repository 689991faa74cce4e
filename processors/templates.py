"""Template memory: log lines that differ in their parameters only share their answers.

A line is known by its signature (processors/template_signatures.py), within its tenant. It is answered once
TEMPLATE_ANSWERS_MIN answers of models about its like agreed one after the other; how surely is the score. Where answers
contradict each other beyond a model's noise the label hangs on parameters: such a signature is unstable and keeps
asking. What the stream extracts beside the label is a line's own and not its signature's; so where it extracts
anything, only lines whose label has no severity are answered: nobody needs their fields.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import orjson

from processors.injection import gives_orders
from processors.items import Glimpse, Item
from processors.normalise.texts import memory_text
from processors.policy import Stream
from processors.proposals import Proposal
from processors.remembered import Erasures, Remembered, kept_ids
from processors.template_counts import Counts, Experience
from processors.template_groups import Grouping, OneWordApart
from processors.template_signatures import Signatures
from topics import limits, log_formats
from topics.messages import Verdict

_MODELS = ("nano", "mini", "flagship")


class Entry:
    """What is known of one signature of one tenant. `verdict` stays the same object as long as it says the same."""

    __slots__ = (
        "at_ms",
        "counts",
        "digest",
        "event_ms",
        "ids",
        "proposable",
        "score",
        "signature",
        "tenant",
        "verdict",
    )

    def __init__(self, tenant: str, signature: str, digest: str, verdict: Verdict) -> None:
        self.tenant = tenant
        self.signature = signature
        self.digest = digest
        self.verdict = verdict  # tier "memory"
        self.counts = Counts()
        self.ids: tuple[str, ...] = ()
        self.at_ms = 0  # when another worker told of it last; 0: none has
        self.event_ms = 0  # the stream's own time of the latest answer
        self.score = 0.0  # as a Proposal's; 0 for what is unstable
        self.proposable = False  # whether it may be answered at all


class Templates:
    """Of one stream under one policy and model. Not for several threads."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        model: str,
        *,
        remember: Callable[[Remembered], None] = lambda _: None,
        grouping: Grouping | None = None,
    ) -> None:
        """`model`: nano's, as in Keys. `remember`: told every entry that changes, to share it with other workers."""
        self._name = name
        self._version = stream.version
        self._model = model
        self._scope = hashlib.blake2b(orjson.dumps([name, self._version, model, "template"])).digest()
        self._labels = {
            label
            for label, told in stream.labels.items()
            if told.severity is None or not (stream.fields or stream.summary)
        }
        self._fields = dict.fromkeys(stream.fields)
        self._remember = remember
        self._signature = Signatures().of
        self._grouping: Grouping = OneWordApart() if grouping is None else grouping
        self._experience = Experience()
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()  # by tenant and signature
        self._keys: dict[str, tuple[str, str]] = {}  # the same by digest
        self._severities = {label: told.severity for label, told in stream.labels.items()}

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, line: Glimpse | Item, event_ms: int) -> Entry | None:
        """The entry that answers such a line. None where it has to be asked, or where only `propose` could answer."""
        signature = self._signature_of(line)
        if signature is None:
            return None
        key = line.tenant, signature
        entry = self._entries.get(key)
        if entry is None or not entry.proposable or event_ms - entry.event_ms > limits.MEMORY_AGE_MS_MAX:
            return None
        self._entries.move_to_end(key)
        return entry

    def propose(self, item: Item) -> Proposal | None:
        if item.truncated or (signature := self._signature_of(item)) is None:
            return None
        entry = self._entries.get((item.tenant, signature))
        if entry is None:
            return self._by_group(item, signature)
        if not entry.proposable or item.source.timestamp_ms - entry.event_ms > limits.MEMORY_AGE_MS_MAX:
            return None
        self._entries.move_to_end((item.tenant, signature))
        return Proposal(entry.verdict, entry.score)

    def is_unstable(self, item: Item) -> bool:
        """Whether answers about the item's like contradict each other beyond a model's noise."""
        signature = self._signature_of(item)
        entry = None if signature is None else self._entries.get((item.tenant, signature))
        return entry is not None and entry.counts.unstable

    def learn(self, item: Item, verdict: Verdict) -> None:
        """A model's answer. Not of a text that gives orders: it may have dictated it."""
        if verdict.tier not in _MODELS or item.truncated or verdict.label not in self._severities:
            return
        signature = self._signature_of(item)
        if signature is None or gives_orders(item.text):
            return
        self._grouping.learn(item.tenant, signature, verdict.label)
        entry = self._entry(item.tenant, signature, verdict)
        if item.source.timestamp_ms - entry.event_ms > limits.MEMORY_AGE_MS_MAX and entry.event_ms:
            entry.counts = Counts()  # too old to say anything beside this one
        agreed = entry.counts.add(verdict.label)
        if agreed is not None:
            self._experience.add(float(agreed), float(not agreed))
        entry.ids = kept_ids((*entry.ids, item.id))
        entry.event_ms = max(entry.event_ms, item.source.timestamp_ms)
        self._settle(entry, verdict)
        self._remember(self._remembered(entry))

    def heard(self, entry: Remembered) -> None:
        """Another worker's entry, of this policy and model or not."""
        signature = entry.signature
        if entry.policy_version != self._version or entry.model != self._model or signature is None:
            return
        if entry.verdict.label not in self._severities or entry.digest != self._digest(entry.tenant, signature):
            return
        known = (entry.tenant, signature) in self._entries
        mine = self._entry(entry.tenant, signature, entry.verdict)
        mine.counts.merge(entry.counts, entry.run)
        if not known:
            agreeing = mine.counts.agreeing
            self._experience.add(max(agreeing - 1, 0.0), mine.counts.total - agreeing)
            for label in entry.counts:
                self._grouping.learn(entry.tenant, signature, label)
        mine.ids = kept_ids((*mine.ids, *entry.ids))
        mine.event_ms = max(mine.event_ms, entry.event_ms)
        mine.at_ms = max(mine.at_ms, entry.at_ms)
        self._settle(mine, entry.verdict)

    def forget(self, digest: str) -> None:
        key = self._keys.pop(digest, None)
        if key is not None:
            self._entries.pop(key).proposable = False

    def erase(self, erasures: Erasures) -> None:
        """The groups are forgotten whole: their answers are of several messages and tenants."""
        for entry in list(self._entries.values()):
            if erasures.cover(entry.tenant, entry.ids, entry.at_ms):
                self.forget(entry.digest)
        self._grouping.clear()

    def _by_group(self, item: Item, signature: str) -> Proposal | None:
        group = self._grouping.find(item.tenant, signature)
        member = None if group is None else self._entries.get((item.tenant, group.member))
        if group is None or member is None or not self._answers(group.counts):
            return None
        if member.verdict.label != group.counts.label:
            return None
        return Proposal(member.verdict, self._experience.score(group.counts))

    def _answers(self, counts: Counts) -> bool:
        return counts.run >= limits.TEMPLATE_ANSWERS_MIN and not counts.unstable and counts.label in self._labels

    def _entry(self, tenant: str, signature: str, verdict: Verdict) -> Entry:
        entry = self._entries.get((tenant, signature))
        if entry is None:
            digest = self._digest(tenant, signature)
            entry = Entry(tenant, signature, digest, self._own(verdict))
            self._entries[tenant, signature] = entry
            self._keys[digest] = (tenant, signature)
            if len(self._entries) > limits.TEMPLATE_ENTRIES_MAX:
                _, oldest = self._entries.popitem(last=False)
                oldest.proposable = False
                del self._keys[oldest.digest]
        self._entries.move_to_end((tenant, signature))
        return entry

    def _settle(self, entry: Entry, verdict: Verdict) -> None:
        """After its counts have changed."""
        label = entry.counts.label
        if verdict.label == label and (
            entry.verdict.label != label or (verdict.confidence or 0.0) > (entry.verdict.confidence or 0.0)
        ):
            entry.verdict = self._own(verdict)
        entry.score = self._experience.score(entry.counts)
        entry.proposable = self._answers(entry.counts) and entry.verdict.label == label

    def _own(self, verdict: Verdict) -> Verdict:
        severity = self._severities[verdict.label]
        return replace(verdict, tier="memory", severity=severity, fields=self._fields, summary=None)

    def _remembered(self, entry: Entry) -> Remembered:
        return Remembered(
            stream=self._name,
            kind="template",
            digest=entry.digest,
            tenant=entry.tenant,
            ids=entry.ids,
            event_ms=entry.event_ms,
            policy_version=self._version,
            model=self._model,
            verdict=entry.verdict,
            counts=dict(entry.counts.by_label),
            run=entry.counts.run,
            signature=entry.signature,
            at_ms=entry.at_ms,
        )

    def _digest(self, tenant: str, signature: str) -> str:
        told = f"{len(tenant)}:{tenant}{signature}".encode(errors="surrogatepass")
        return hashlib.blake2b(told, digest_size=16, key=self._scope).hexdigest()

    def _signature_of(self, line: Glimpse | Item) -> str | None:
        """The same for an item as for a glimpse of its record."""
        return self._signature(_stable(line), line.layout if isinstance(line, Glimpse) else None)


def _stable(item: Glimpse | Item) -> str:
    """The line without its timestamps. Of a longer one than exact memory keeps it is found again in its text; where its
    digest says that it is not, as in JSON, which nobody glimpses at, the text itself."""
    if len(item.memory_text) <= limits.MEMORY_TEXT_CHARS_MAX:
        return item.memory_text
    if isinstance(item, Glimpse):
        return item.layout.stable(item.line)
    line = log_formats.of_text(item.text)
    without_pid = item.text.replace(f"[{item.fields.get('syslog.pid')}]", "", 1)
    stables = (without_pid,) if line is None else (line.stable, without_pid)
    return next((stable for stable in stables if memory_text(stable) == item.memory_text), item.text)
