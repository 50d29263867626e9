"""What happened, as a table for the terminal."""

from __future__ import annotations

import shutil
import sys
from collections import Counter, defaultdict
from typing import Any, NamedTuple

__all__ = ("Trace", "report")

ROWS = 5
LINES = 4
# How often one request runs the same statement until that is worth telling: a loop, not a hazard.
REPEATS = 5
ERROR = 2  # OTLP's number of a status


class Trace(NamedTuple):
    """A request as the viewer's API gives it, and the spans of its trace."""

    summary: dict[str, Any]
    spans: list[dict[str, Any]]

    @property
    def route(self) -> str:
        return f"{self.summary['method']} {self.summary['route'] or self.summary['path']}"

    @property
    def duration(self) -> int:
        return int(self.summary["duration_ns"])


class Style:
    """Escape sequences for a terminal, nothing for a file."""

    def __init__(self, *, enabled: bool) -> None:
        self.bold, self.dim, self.red, self.plain = (
            ("\033[1m", "\033[2m", "\033[31m", "\033[0m") if enabled else ("", "", "", "")
        )


def report(traces: list[Trace], seconds: float) -> str:
    """The slowest request of each of the slowest routes; one request of each route that runs the
    same query again and again; and one failure of each that failed."""
    style = Style(enabled=sys.stdout.isatty())
    width = shutil.get_terminal_size().columns
    failed = [trace for trace in traces if trace.summary["error"]]
    queries = sum(trace.summary["queries"] for trace in traces)
    lines = [
        "",
        f"  {len(traces)} requests in {seconds:.1f} s, {len(failed)} failed; {queries} queries",
    ]
    repeating = [trace for trace in traces if _repeats(trace) >= REPEATS]
    quiet = [trace for trace in traces if trace not in failed and trace not in repeating]
    lines += _section("Slowest", _slowest_of_each_route(quiet)[:ROWS], style, width)
    lines += _section("The same query again and again (N+1)", repeating, style, width)
    lines += _section("Failed", failed, style, width)
    return "\n".join(lines)


def _repeats(trace: Trace) -> int:
    """How often it runs the statement that it runs most."""
    texts = Counter(_text(span) for span in _own_spans(trace) if span["is_query"])
    return max(texts.values(), default=0)


def _slowest_of_each_route(traces: list[Trace]) -> list[Trace]:
    slowest: dict[str, Trace] = {}
    for trace in traces:
        if trace.duration > (slowest[trace.route].duration if trace.route in slowest else -1):
            slowest[trace.route] = trace
    return sorted(slowest.values(), key=lambda trace: trace.duration, reverse=True)


def _section(title: str, traces: list[Trace], style: Style, width: int) -> list[str]:
    if not traces:
        return []
    lines = ["", f"  {style.bold}{title}{style.plain}"]
    for trace in _slowest_of_each_route(traces):
        summary = trace.summary
        color = style.red if summary["error"] else ""
        counts = [_count(summary["queries"], "query", "queries")]
        if summary["calls"]:
            counts.append(_count(summary["calls"], "call", "calls"))
        lines.append(
            f"  {_milliseconds(trace.duration)}  {color}{summary['status']}{style.plain}  "
            f"{style.bold}{trace.route:<28}{style.plain}  {', '.join(counts)}"
        )
        lines += [f"{style.dim}{_cut(line, width)}{style.plain}" for line in _operations(trace)]
        lines += [f"{style.red}{_cut(line, width)}{style.plain}" for line in _errors(trace)]
    return lines


def _operations(trace: Trace) -> list[str]:
    """The queries and calls of the request, the same ones folded, the longest first."""
    durations: defaultdict[str, list[int]] = defaultdict(list)
    for span in _own_spans(trace):
        if span["is_query"] or span["is_call"]:
            durations[_text(span)].append(int(span["duration_ns"]))
    rows = sorted(durations.items(), key=lambda item: sum(item[1]), reverse=True)
    lines = []
    for text, times in rows[:LINES]:
        fold = f"x{len(times)}" if len(times) > 1 else ""
        lines.append(f"       {_milliseconds(sum(times))}  {fold:>3}  {text}")
    if len(rows) > LINES:
        lines.append(f"{'':23}and {len(rows) - LINES} more")
    return lines


def _own_spans(trace: Trace) -> list[dict[str, Any]]:
    """Those of the service that took the request, without those that it called."""
    return [span for span in trace.spans if span["service"] == trace.summary["service"]]


def _errors(trace: Trace) -> list[str]:
    texts = {
        f"{span['attributes'].get('error.type', 'error')}: {span['message']}"
        for span in trace.spans
        if span["status"] == ERROR and span["message"]
    }
    return [f"{'':23}{text}" for text in sorted(texts)]


def _text(span: dict[str, Any]) -> str:
    attributes = span["attributes"]
    if span["is_query"]:
        return " ".join(str(attributes.get("db.query.text", span["name"])).split())
    url = str(attributes.get("url.full", "")).partition("?")[0]
    return f"{attributes.get('http.request.method', '')} {url}".strip() or str(span["name"])


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _milliseconds(ns: int) -> str:
    return f"{ns / 1e6:7.1f} ms"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
