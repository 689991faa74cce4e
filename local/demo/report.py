"""The demo's closing report: as a table for a person and as `demo-report.json` for a machine."""

from collections import Counter
from typing import Any

from rich.table import Table

from local.collect import Collected, quantile


def summarise(
    seen: Collected, *, provider: str, streams: dict[str, str], one_call_each_usd: float, seconds: float
) -> dict[str, Any]:
    """The report. `streams`: input topic → stream. Money in USD; `seconds`: first input to last decision."""
    usd = sum(seen.spent_usd_micros.values()) / 1e6
    decided = len(seen.decisions)
    latencies = [decision["latency_ms"] for decision in seen.decisions.values()]
    return {
        "provider": provider,
        "inputs": len(seen.inputs),
        "decisions": {
            "total": decided,
            "by_stream": dict(Counter(decision["stream"] for decision in seen.decisions.values())),
            "by_means": dict(seen.decided_by),
            "by_label": {
                stream: dict(Counter(d["label"] for d in seen.decisions.values() if d["stream"] == stream))
                for stream in dict.fromkeys(streams.values())
            },
        },
        "dead_letters": {"total": len(seen.dead), "by_reason": dict(Counter(seen.dead.values()))},
        "escalations": {tier: len(escalated) for tier, escalated in seen.escalated.items()},
        "resolutions": {tier: len(resolved) for tier, resolved in seen.resolutions.items()},
        "alerts": {
            "total": len(seen.alerts),
            "by_status": seen.alerts_by_status,
            "revised": sum(alert["revision"] > 1 for alert in seen.alerts.values()),
            "reviewed_by": dict(Counter(alert["reviewed_by"] or "nobody" for alert in seen.alerts.values())),
        },
        "model_calls": dict(seen.calls),
        "usd": round(usd, 6),
        "usd_by_tier": {tier: round(micros / 1e6, 6) for tier, micros in seen.spent_usd_micros.items()},
        "usd_per_million": round(usd / decided * 1e6, 2) if decided else None,
        "triage_usd_per_million": round(seen.spent_usd_micros["nano"] / decided, 2) if decided else None,
        "one_call_each_usd_per_million": round(one_call_each_usd / decided * 1e6, 2) if decided else None,
        "messages_per_s": round(decided / seconds, 1) if seconds else None,
        "latency_ms": {"p50": round(quantile(latencies, 0.5), 1), "p99": round(quantile(latencies, 0.99), 1)},
        "undecided": seen.undecided,
        "doubled": len(seen.doubled),
    }


def table(report: dict[str, Any]) -> Table:
    """The report as a person reads it."""

    def counts(values: dict[str, int]) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in sorted(values.items(), key=lambda kv: -kv[1])) or "none"

    rows = Table(title="What happened", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    rows.add_row("provider", report["provider"])
    rows.add_row("inputs", f"{report['inputs']:,}")
    rows.add_row("decisions", f"{report['decisions']['total']:,}: {counts(report['decisions']['by_stream'])}")
    rows.add_row("  by means", counts(report["decisions"]["by_means"]))
    for stream, labels in report["decisions"]["by_label"].items():
        rows.add_row(f"  {stream}", counts(labels))
    rows.add_row("dead letters", f"{report['dead_letters']['total']}: {counts(report['dead_letters']['by_reason'])}")
    rows.add_row("escalations", counts(report["escalations"]))
    rows.add_row("resolutions", counts(report["resolutions"]))
    alerts = report["alerts"]
    revised = f"; {alerts['revised']} of them revised" if alerts["total"] else ""
    rows.add_row("alerts", f"{alerts['total']}: {counts(alerts['by_status'])}{revised}")
    rows.add_row("speed", f"{report['messages_per_s']} messages/s as the demo fed them")
    rows.add_row("latency", f"p50 {report['latency_ms']['p50']:,.0f} ms, p99 {report['latency_ms']['p99']:,.0f} ms")
    rows.add_row("money", f"${report['usd']:.4f} at list prices ({counts_usd(report['usd_by_tier'])})")
    rows.add_row(
        "per million messages",
        f"triage ${report['triage_usd_per_million']}, agents included ${report['usd_per_million']}; "
        f"one plain nano call each ${report['one_call_each_usd_per_million']}",
    )
    return rows


def counts_usd(values: dict[str, float]) -> str:
    """`nano $0.0123, mini $0.2`"""
    return ", ".join(f"{tier} ${usd:.4f}" for tier, usd in values.items()) or "nothing"
