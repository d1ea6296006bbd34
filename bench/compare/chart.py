#!/usr/bin/env python3
"""Draws the results of compare.py: one panel a workload, systems sorted, weft in colour.

usage: chart.py RESULTS.json CHART.svg

The SVG is plain text that stands alone: it brings its own background, with other colours where the
viewer says that it is dark, and asks for no font but the viewer's own.
"""

import json
import math
import sys
from xml.sax.saxutils import escape

from workloads import CEILING, is_weft

COLUMNS = 3
MARGIN = 24
GAP = 16  # between panels
PANEL = 344  # a panel's width
PAD = 16  # inside a panel
NAME = 97  # room for a system's name
VALUE = 72  # room for its figure
BAR = PANEL - 2 * PAD - NAME - VALUE
ROW = 22
HEAD = 64  # of a panel, above its rows
FOOT = 34  # of a panel, below its rows: the ceiling's label
HEADER = 66  # of the chart
FOOTER = 44

# The ceiling may be this many times the best system before it leaves the panel: else the bars,
# which are what the chart is about, would be too short to compare.
CEILING_AT_MOST = 2.5
CEILING_BEYOND = 1.15  # where the line then stands, to say that it is further out

STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
  .title { font-size: 21px; font-weight: 600; }
  .name { font-size: 15px; font-weight: 600; }
  .small { font-size: 11.5px; }
  .row { font-size: 12.5px; }
  .strong { font-weight: 700; }
  .page { fill: #ffffff; }
  .panel { fill: #f6f8fa; stroke: #d7dde4; }
  .ink { fill: #1f2933; }
  .soft { fill: #5b6875; }
  .bar { fill: #a3b1c2; }
  .weft { fill: #0f766e; }
  .weftink { fill: #0b5f59; }
  .fail { fill: #b42318; }
  .ceiling { stroke: #b45309; stroke-width: 1.5; stroke-dasharray: 4 3; }
  .ceilingink { fill: #92400e; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; }
    .panel { fill: #161b22; stroke: #303842; }
    .ink { fill: #e6edf3; }
    .soft { fill: #9aa7b4; }
    .bar { fill: #56657a; }
    .weft { fill: #2dd4bf; }
    .weftink { fill: #5eead4; }
    .fail { fill: #ff7b72; }
    .ceiling { stroke: #f0a83c; }
    .ceilingink { fill: #f5bd66; }
  }
"""


def three_digits(value):
    if value >= 1000:
        return f"{value:,.0f}"
    decimals = max(0, 2 - int(math.floor(math.log10(value)))) if value > 0 else 0
    return f"{value:.{min(decimals, 2)}f}"


def value_label(metric, value):
    """A figure with its unit: 23.4 µs, 1.25 ms, 752 k/s, 4.19 M/s."""
    if metric != "qps":
        return f"{three_digits(value)} µs" if value < 1000 else f"{three_digits(value / 1e3)} ms"
    for limit, unit in ((999_500, "M"), (9_995, "k")):
        if value >= limit:
            return f"{three_digits(value / (1e6 if unit == 'M' else 1e3))} {unit}/s"
    return f"{three_digits(value)} /s"


def sorted_rows(summary):
    """(name, value) without the ceiling, best first; those that failed last, with None."""
    rows = [(name, system["median"][summary["metric"]] if system["median"] else None)
            for name, system in summary["systems"].items() if name != CEILING]
    sign = -1 if summary["higher_is_better"] else 1
    return sorted(rows, key=lambda row: (row[1] is None, sign * (row[1] or 0)))


def ceiling_of(summary):
    system = summary["systems"].get(CEILING)
    return system["median"][summary["metric"]] if system and system["median"] else None


def scale_of(values, ceiling, higher_is_better):
    """The value at the right end of the bars."""
    longest = max(values, default=0)
    if ceiling and higher_is_better:
        far = longest and ceiling > CEILING_AT_MOST * longest
        longest = CEILING_BEYOND * longest if far else max(longest, ceiling)
    elif ceiling:
        longest = max(longest, ceiling)
    return longest or 1


def _text(x, y, classes, text, anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}" text-anchor="{anchor}">'
            f"{escape(text)}</text>")


def _wrapped(text, length):
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > length:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _direction(summary):
    if summary["higher_is_better"]:
        return "calls a second — higher is better →"
    return "median latency — ← lower is better"


def _panel(x, y, height, name, summary):
    rows = sorted_rows(summary)
    ceiling = ceiling_of(summary)
    scale = scale_of([value for _, value in rows if value], ceiling, summary["higher_is_better"])
    left = x + PAD + NAME
    out = [f'<rect class="panel" x="{x}" y="{y}" width="{PANEL}" height="{height}" rx="8"/>',
           _text(x + PAD, y + 25, "name ink", name),
           _text(x + PANEL - PAD, y + 25, "small soft", _direction(summary), "end"),
           _text(x + PAD, y + 44, "small soft", summary["shows"])]
    top = y + HEAD
    for i, (system, value) in enumerate(rows):
        middle = top + i * ROW + ROW / 2
        weft = is_weft(system)
        ink = "weftink strong" if weft else "ink"
        out.append(_text(left - 8, middle + 4.5, f"row {ink}", system, "end"))
        if value is None:
            out.append(_text(left, middle + 4.5, "row fail strong", "failed"))
            continue
        width = max(1.5, BAR * min(1, value / scale))
        out.append(f'<rect class="{"weft" if weft else "bar"}" x="{left}" y="{middle - 7.5:.1f}" '
                   f'width="{width:.1f}" height="15" rx="2"/>')
        out.append(_text(x + PANEL - PAD, middle + 4.5, f"row {ink}",
                         value_label(summary["metric"], value), "end"))
    if ceiling:
        bottom = top + len(rows) * ROW
        at = left + BAR * min(1, ceiling / scale)
        label = f"{CEILING} {value_label(summary['metric'], ceiling)}"
        if ceiling > scale:
            label += ", beyond this scale →"
        out.append(f'<line class="ceiling" x1="{at:.1f}" y1="{top - 3}" x2="{at:.1f}" '
                   f'y2="{bottom + 6}"/>')
        if at > left + BAR / 2:
            out.append(_text(at + (4 if ceiling <= scale else VALUE), bottom + 20,
                             "small ceilingink", label, "end"))
        else:
            out.append(_text(at - 4, bottom + 20, "small ceilingink", label))
    return out


def render(results):
    """The chart as the text of an SVG file."""
    summaries = list(results["workloads"].items())
    columns = max(1, min(COLUMNS, len(summaries)))
    width = 2 * MARGIN + columns * PANEL + (columns - 1) * GAP
    machine, settings = results["machine"], results["settings"]
    characters = int((width - 2 * MARGIN) / 6.1)
    footer = _wrapped(
        f"{machine['cpu']}, {machine['cores']} cores shared by client and server, "
        f"Linux {machine['kernel']}, {machine['date']}. Medians of {settings['rounds']} "
        f"interleaved rounds of {settings['seconds']:g} s. Dashed line: {CEILING}, a bare libevent "
        "echo on one thread: no RPC, no workers.", characters)

    body, y = [], HEADER
    for start in range(0, len(summaries), columns):
        line = summaries[start:start + columns]
        most = max(len(sorted_rows(summary)) for _, summary in line)
        height = HEAD + most * ROW + FOOT
        for i, (name, summary) in enumerate(line):
            body += _panel(MARGIN + i * (PANEL + GAP), y, height, name, summary)
        y += height + GAP
    height = y + FOOTER + 15 * (len(footer) - 1) - GAP
    head = _wrapped("The same echo over loopback, weft beside other RPC systems", int(width / 11))
    head_shift = 26 * (len(head) - 1)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
             f'height="{height + head_shift}" viewBox="0 {-head_shift} {width} '
             f'{height + head_shift}" role="img" aria-label="weft and other RPC systems compared">',
             f"<style>{STYLE}</style>",
             f'<rect class="page" x="0" y="{-head_shift}" width="{width}" '
             f'height="{height + head_shift}" rx="10"/>']
    for i, text in enumerate(head):
        parts.append(_text(MARGIN, 42 - head_shift + 26 * i, "title ink", text))
    parts += body
    for i, text in enumerate(footer):
        parts.append(_text(MARGIN, y + 14 + 15 * i, "small soft", text))
    return "\n".join(parts + ["</svg>"]) + "\n"


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        results = json.load(file)
    with open(arguments[1], "w", encoding="utf-8") as file:
        file.write(render(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
