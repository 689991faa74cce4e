"""Slack's form: an incoming webhook's message, of blocks, with a text for where blocks are not shown.

What comes from messages is plain text, in which Slack sees no mention and no link: their senders are strangers.
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from processors.notify.form import Request, cut, json, summary, title
from topics.limits import NOTIFY_SUMMARY_ALERTS_MAX, NOTIFY_TEXT_CHARS_MAX, NOTIFY_TITLE_CHARS_MAX
from topics.messages import Alert


class SlackForm:
    def alert(self, alert: Alert, now_s: float) -> Request:  # noqa: ARG002 a message has its own time
        blocks = [_header(title(alert)), _section(summary(alert) or alert.id)]
        if description := alert.annotations.get("description"):
            blocks.append(_section(description))
        if runbook := alert.annotations.get("runbook_url"):
            link = f"<{_escaped(runbook).replace('|', '%7C')}|Runbook>"
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": cut(link, NOTIFY_TEXT_CHARS_MAX)}})
        said = {**alert.labels, "messages": str(alert.count), "since": alert.startsAt, "id": alert.id}
        blocks.append(_context("  ".join(f"{name}={value}" for name, value in said.items())))
        return _message(f"{title(alert)}: {summary(alert)}", blocks)

    def several(self, alerts: Sequence[Alert], now_s: float) -> Request:  # noqa: ARG002
        status = Counter(alert.status for alert in alerts)
        head = f"{len(alerts)} more alerts: {status['firing']} firing, {status['resolved']} resolved"
        lines = [cut(f"{title(alert)}: {summary(alert)}", NOTIFY_TITLE_CHARS_MAX - 10) for alert in alerts]
        rest = len(lines) - NOTIFY_SUMMARY_ALERTS_MAX
        shown = [*lines[:NOTIFY_SUMMARY_ALERTS_MAX], *([f"and {rest} more"] if rest > 0 else [])]
        held = "They were held back by pages_per_hour. The topic alerts has them all."
        return _message(head, [_header(head), _section("\n".join(shown)), _context(held)])


def _message(text: str, blocks: list[dict[str, Any]]) -> Request:
    return json({"text": _escaped(cut(text, NOTIFY_TEXT_CHARS_MAX)), "blocks": blocks})


def _header(text: str) -> dict[str, Any]:
    return {"type": "header", "text": _plain(cut(text, NOTIFY_TITLE_CHARS_MAX))}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(cut(text, NOTIFY_TEXT_CHARS_MAX))}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_plain(cut(text, NOTIFY_TEXT_CHARS_MAX))]}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    """Slack's three: without them a text could call everybody in the channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
