"""Words and numbers that carry the outcome of an event: what no wildcard may swallow. The one list of them."""

import functools
import re

from topics import limits

# Found anywhere in a word, in any case: authentication_failure, NullPointerException, isDenied
_PARTS = (
    "abort|alert|attack|cancel|conflict|corrupt|crash|critical|damag|deadlock|degrad|denied|deny|died|disab"
    "|disconnect|drop|emerg|enabl|error|exceed|except|exhaust|expir|fail|fatal|(?<!de)fault|forbid|forged|fraud|illegal"
    "|incorrect|invalid|kill|malform|mismatch|missing|oom|overflow|panic|problem|refus|reject|reset|restor|retry|revok|severe"
    "|stolen|success|suspend|terminat|threat|timed|time[ _-]?out|trap|unable|unauth|unavail|unhealthy|unknown|unreach"
    "|urgent|violat|virus|warn|wrong|accept|allow|approv|cannot|complet|declin|grant|recover|resolv|succeed|verif"
)
# Only as words of their own, where a word also ends at _, -, a digit or a capital: no_route, exit-ok, NotFound
_WORDS = (
    "active|alive|bad|block(?:ed)?|broken|clean|closed?|dead|don|down|empty|eof|err|false|finished|found|full|good|halt(?:ed)?|healthy"
    "|inactive|late|leak(?:ed)?|lock(?:ed)?|lost|low|n't|nack|nak|never|nil|no|non|none|not|nothing|null|off|offline|ok"
    "|okay|on|online|open(?:ed)?|over|paid|pass(?:ed)?|pending|quarantined?|ready|reachable|removed?|shutdown|skip(?:ped)?"
    "|slow|start(?:ed)?|stop(?:ped)?|stuck|true|unpaid|up|valid|without|won|yes|zero"
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
