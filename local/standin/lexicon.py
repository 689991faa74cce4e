"""Words: folding, stop words, kin words, and what stands out in a text. What a model knows of language, in small."""

import re
from collections.abc import Iterable

WORD = re.compile(r"[^\W_]+")
_STOP = frozenset(
    WORD.findall(
        "a about above after again all also am an and any are as at be because been before being below between both "
        "but by  can could did do does doing down during each few for from further had has have having he her here "
        "hers him his  how i if in into is it its just me more most must my no nor not now of off on once only or "
        "other our out over own  same she should so some such than that the their them then there these they this "
        "those through to too under until  up us very was we were what when where which while who whom why will with "
        "would you your needs look new see  customer agent message user hello hi dear thanks thank please regards "
        "info subject from anything else "
    )
)
_KIN = (
    "failure fail failed failing error errors fatal panic abort aborted crash crashed corrupt corrupted critical emerg "
    "unavailable exhausted lost unable outage",
    "disk filesystem ext4 ext3 xfs sda sdb nvme raid volume storage inode",
    "network connection unreachable timeout timed socket dns refused packet link route",
    "memory oom heap ram swap allocation killed",
    "auth authentication password login credential credentials ssh sshd permission denied unauthorized token",
    "phishing verify suspended click link account password identity prize urgent confirm winner",
    "money payment pay charge charged invoice refund transfer price fee bank card transaction",
    "fraud fraudulent unauthorised unauthorized recognise recognize stolen scam suspicious compromised",
    "complaint unhappy angry disappointed unacceptable terrible worst ridiculous complain furious late broken",
    "order delivery shipment parcel package shipped tracking",
    "normal operation ok success succeeded completed routine info started healthy",
)
_ROOT: dict[str, str] = {}
for _group in _KIN:
    for _word in _group.split():
        _ROOT.setdefault(_word[:6], _group.split(maxsplit=1)[0])
_IDENTIFIER = re.compile(r"\b(?=[\w./:-]*\d)(?=[\w./:-]*[a-zA-Z])[\w./:-]{4,40}\b")
_CATCH_ALL = frozenset(
    (
        "other",
        "others",
        "routine",
        "normal",
        "ordinary",
        "none",
        "unknown",
        "misc",
        "general",
        "regular",
        "ok",
        "benign",
    )
)


def fold(text: str) -> str:
    """Case and white space made equal."""
    return " ".join(text.lower().split())


def squash(name: str) -> str:
    """A label's name without case, spaces and punctuation: `HR Support` and `hr-support` are one."""
    return "".join(WORD.findall(name.lower()))


def words(text: str) -> list[str]:
    """Meaningful words in lower case, in order."""
    return [word for word in WORD.findall(text.lower()) if word not in _STOP and len(word) > 1]


def roots(text: str) -> set[str]:
    """Words cut to their stem, kin words made equal: enough to compare a text with a description."""
    return {_ROOT.get(word[:6], word[:6]) for word in words(text)}


def is_catch_all(name: str) -> bool:
    """Whether a label's name says `none of the others`."""
    return not _CATCH_ALL.isdisjoint(WORD.findall(name.lower().replace("_", " ")))


def best_choice(text: str, choices: Iterable[str]) -> str | None:
    """The choice whose name, or a kin word of it, stands in the text; the most frequent first. None where none does."""
    found = [_ROOT.get(word[:6], word[:6]) for word in words(text)]
    scores = {choice: sum(found.count(root) for root in roots(choice)) for choice in choices}
    best = max(scores, key=lambda choice: scores[choice], default=None)
    return best if best is not None and scores[best] else None


def salient(text: str, count: int = 4) -> list[str]:
    """What a search would be made of: identifiers first, then the longest words, each once."""
    identifiers = [match.strip(".:/-") for match in _IDENTIFIER.findall(text)]
    plain = sorted((word for word in words(text) if not word.isdigit()), key=len, reverse=True)
    chosen: list[str] = []
    for word in [*identifiers[: count // 2], *plain]:
        if len(chosen) < count and not any(word.lower() in other.lower() for other in chosen):
            chosen.append(word)
    return chosen


def extract(text: str, chars: int = 140) -> str:
    """The beginning of a text, cut at a word, as a one-line summary."""
    flat = " ".join(text.split())
    return flat if len(flat) <= chars else flat[:chars].rsplit(" ", 1)[0] + "…"
