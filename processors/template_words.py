"""Words and numbers that carry the outcome of an event: what no wildcard may swallow. The one list of them."""

import functools
import re

from topics import limits

# Found anywhere in a word, in any case: authentication_failure, NullPointerException, isDenied
_PARTS = (
    "abort|accept|alert|allow|approv|attack|breach|cancel|cannot|complet|compromis|conflict|congest|corrupt"
    "|crash|critical|damag|deadlock|declin|degrad|denied|deny|died|disab|disconnect|drop|emerg|enabl|error"
    "|evict|exceed|except|exhaust|expir|fail|fatal|(?<!de)fault|forbid|forged|fraud|grant|hijack|illegal"
    "|incorrect|infect|insuffic|interrupt|intrus|invalid|kill|malform|malicious|malware|mismatch|missing|oom"
    "|outage|overflow|overload|panic|partial|phish|problem|ransom|recover|refus|reject|reset|resolv|restor"
    "|retry|revok|rollback|rolled[ _-]?back|saturat|severe|spoof|starv|stolen|succeed|success|suspend|suspicio"
    "|tamper|terminat|threat|throttl|time[ _-]?out|timed|trap|unable|unauth|unavail|unhealthy|unknown|unreach"
    "|unrespons|unsafe|unstabl|untrust|unusual|urgent|verif|violat|virus|vulnerab|warn|weak|wrong"
)
# Only as words of their own, where a word also ends at _, -, a digit or a capital: no_route, exit-ok, NotFound
_WORDS = (
    "active|alive|bad|block(?:ed)?|broken|clean|closed?|dead|don|down|empty|eof|err|false|finished"
    "|flap(?:ped|ping)?|found|full|good|halt(?:ed)?|hang|hangs|healthy|high|hot|hung|idle|inactive|late"
    "|leak(?:ed)?|lock(?:ed)?|lost|low|n't|nack|nak|never|nil|no|non|none|not|nothing|null|off|offline|ok|okay"
    "|on|online|open(?:ed)?|orphan(?:ed)?|over|paid|pass(?:ed)?|pending|quarantined?|reachable|ready|removed?"
    "|shutdown|skip(?:ped)?|slow|stale|start(?:ed)?|stop(?:ped)?|stuck|true|unpaid|up|valid|without|won|yes"
    "|zero|zombie"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LETTERS = re.compile(r"[A-Z]+[a-z]*|[a-z]+|[^\W\d_A-Za-z]+")  # up to the next capital
_OUTCOME = re.compile(rf"{_PARTS}|(?<![a-z])(?:{_WORDS})(?![a-z])")


def outcomes(text: str) -> tuple[str, ...]:
    """The words and parts of words that carry the outcome, in their order, in small letters."""
    return tuple(_OUTCOME.findall(_CAMEL.sub(" ", text).lower().replace("’", "'")))


def carries_outcome(word: str) -> bool:
    """Whether any part of the word does."""
    return any(map(_is_outcome, _LETTERS.findall(word))) or "timeout" in word.lower()


@functools.lru_cache(limits.SIGNATURE_WORDS_MAX)
def _is_outcome(letters: str) -> bool:
    return _OUTCOME.search(letters.lower()) is not None


_OF_STATUS = re.compile(
    r"""
    (?: status | code | exit\w* | errno | errors? | signal | severity | sqlstate | http(?:/<\*>)? | respon(?:se|ded)
      | return(?:s|ed)? | result | (?<![^\W_])(?: err | rc | ret | retval | state | level | reason ) )
    (?: [^\w<>\n] | \b(?: is | with | was | code | of | status | state | value | number | no )\b ){0,6}
    <\*>
    """,
    re.IGNORECASE | re.VERBOSE,
)
_STATUS = re.compile(r"\d{1,10}|0x[0-9a-f]{1,8}|[A-Z]{1,9}-?\d{1,6}|\d[A-Z0-9]{4}", re.IGNORECASE)


def status_places(template: str) -> tuple[int, ...]:
    """Which of the `<*>` of a masked line stand where a status is told: `exit code <*>`, `HTTP <*>`, `status=<*>`.
    Counted from 0."""
    return tuple(template.count("<*>", 0, match.end() - 3) for match in _OF_STATUS.finditer(template))


def is_status(word: str) -> bool:
    """Whether it looks like the number of a status, and not like an address, a time or a name."""
    return _STATUS.fullmatch(word) is not None
