"""From single runs to medians, ratios and tables.

The results of a comparison are one dictionary, which is also the JSON file:

    {"machine": {...}, "settings": {...},
     "workloads": {"mux": {"shows": ..., "metric": "qps", "higher_is_better": true,
                           "systems": {"weft": {"rounds": [...], "median": {...} or null,
                                                "errors": [...]}}}}}
"""

import statistics

from workloads import CEILING, before, is_rival, is_weft

# (key, heading, how it is written)
COLUMNS = (
    ("qps", "calls/s", "{:,.0f}"),
    ("p50_us", "p50 µs", "{:,.1f}"),
    ("p99_us", "p99 µs", "{:,.1f}"),
    ("p999_us", "p99.9 µs", "{:,.1f}"),
    ("server_cpu_us", "server CPU µs/call", "{:,.2f}"),
    ("client_cpu_us", "client CPU µs/call", "{:,.2f}"),
    ("server_switches", "server switches/call", "{:.3f}"),
    ("client_switches", "client switches/call", "{:.3f}"),
    ("server_rss_mib", "server peak MiB", "{:,.1f}"),
    ("err", "err", "{:.0f}"),
)
RATIO_HEADINGS = ("× raw", "× best rival")


def median_of(rounds):
    """Each figure's median over the rounds that have figures; None if none has."""
    good = [figures for figures in rounds if "error" not in figures]
    if not good:
        return None
    return {key: statistics.median(figures[key] for figures in good)
            for key in good[0] if all(key in figures for figures in good)}


def summary_of(workload, rounds_by_system):
    return {
        "shows": workload.shows,
        "metric": workload.metric,
        "higher_is_better": workload.higher_is_better,
        "systems": {
            name: {
                "rounds": rounds,
                "median": median_of(rounds),
                "errors": [f"round {number}: {figures['error']}"
                           for number, figures in enumerate(rounds, 1) if "error" in figures],
            }
            for name, rounds in rounds_by_system.items()
        },
    }


def has_errors(results):
    return any(system["errors"] for workload in results["workloads"].values()
               for system in workload["systems"].values())


def times_as_good(summary, value, reference):
    """How many times as good `value` is: above 1 is better, whichever way the figure points."""
    if not value or not reference:
        return None
    return value / reference if summary["higher_is_better"] else reference / value


def _metric(summary, name):
    system = summary["systems"].get(name)
    return system["median"][summary["metric"]] if system and system["median"] else None


def best_rival(summary):
    """The name of the best system that is neither weft nor the ceiling; None without one."""
    values = {name: _metric(summary, name) for name in summary["systems"] if is_rival(name)}
    values = {name: value for name, value in values.items() if value}
    if not values:
        return None
    return (max if summary["higher_is_better"] else min)(values, key=values.get)


def ratios(summary, name):
    """(to raw, to the best rival), each None where there is nothing to compare with."""
    value = _metric(summary, name)
    rival = best_rival(summary)
    return (times_as_good(summary, value, _metric(summary, CEILING)),
            times_as_good(summary, value, _metric(summary, rival) if rival else None))


def against_ratios(summary, name):
    """{"calls": …, "cpu": …}: a row of weft's to the same row of the other build, each the median
    of the rounds' own ratios, for both ran side by side in each. None where there is no such row."""
    rows = [summary["systems"].get(row) for row in (name, before(name))]
    if None in rows:
        return None
    pairs = [(now, then) for now, then in zip(rows[0]["rounds"], rows[1]["rounds"])
             if "error" not in now and "error" not in then]

    def median(figure):
        found = [figure(now) / figure(then) for now, then in pairs if figure(then)]
        return statistics.median(found) if found else None

    return {"calls": median(lambda figures: figures["qps"]),
            "cpu": median(lambda figures: figures.get("server_cpu_us", 0) + figures["client_cpu_us"])}


def against_table(results):
    """A Markdown table of this build against the other one, a row for each workload and way."""
    lines = ["| workload | system | calls/s, × before | CPU a call, × before |",
             "|---|---|---:|---:|"]
    for workload, summary in results["workloads"].items():
        for name in summary["systems"]:
            ratios_of = against_ratios(summary, name)
            if ratios_of is not None:
                lines.append(f"| {workload} | {name} | {ratio_text(ratios_of['calls'])} | "
                             f"{ratio_text(ratios_of['cpu'])} |")
    return "\n".join(lines) + "\n"


def ratio_text(ratio):
    if ratio is None:
        return "–"
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.4f}"


def _cells(summary, name):
    median = summary["systems"][name]["median"]
    if median is None:
        return ["–"] * (len(COLUMNS) + len(RATIO_HEADINGS))
    cells = [form.format(median[key]) if key in median else "–" for key, _, form in COLUMNS]
    return cells + [ratio_text(ratio) for ratio in ratios(summary, name)]


def text_table(name, summary):
    """A workload's table for a terminal. A system that failed has its errors below its row."""
    headings = ["system"] + [heading for _, heading, _ in COLUMNS] + list(RATIO_HEADINGS)
    rows = [[system] + _cells(summary, system) for system in summary["systems"]]
    widths = [max(len(row[i]) for row in [headings] + rows) for i in range(len(headings))]

    def line(cells):
        return "  ".join([cells[0].ljust(widths[0])] +
                         [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])])

    lines = [f"{name}: {summary['shows']}", line(headings)]
    for row in rows:
        lines.append(line(row))
        lines += [f"  ERROR {row[0]}, {error}" for error in summary["systems"][row[0]]["errors"]]
    return "\n".join(lines)


def _escaped(text):
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def markdown_table(name, summary):
    headings = ["system"] + [heading for _, heading, _ in COLUMNS] + list(RATIO_HEADINGS)
    lines = [f"### {name}", "", _escaped(summary["shows"]) + ".", "",
             "| " + " | ".join(headings) + " |",
             "|---|" + "---:|" * (len(headings) - 1)]
    for system in summary["systems"]:
        cells = _cells(summary, system)
        if is_weft(system):
            cells = [f"**{cell}**" for cell in cells]
        title = f"**{system}**" if is_weft(system) else system
        lines.append("| " + " | ".join([title] + cells) + " |")
        for error in summary["systems"][system]["errors"]:
            lines.append(f"| {system}: error | {_escaped(error)} |" +
                         " |" * (len(headings) - 2))
    return "\n".join(lines) + "\n"


def machine_line(machine):
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
            f"{machine['compiler']}; {packages or 'package versions unknown'}; {machine['date']}.")


def settings_line(settings):
    line = (f"Medians of {settings['rounds']} interleaved rounds of {settings['seconds']:g} s; "
            f"servers with {settings['io']} I/O thread(s) and {settings['workers']} workers, "
            "the client on the same machine.")
    for side in ("server", "client"):
        if settings[f"{side}_args"]:
            line += f" Every {side} also got `{' '.join(settings[f'{side}_args'])}`."
    if settings["not_built"]:
        line += f" Not built, so not measured: {', '.join(settings['not_built'])}."
    return line


def markdown(results):
    intro = [machine_line(results["machine"]), "", settings_line(results["settings"]), "",
             "Ratios say how many times as good a row is, by calls/s, or by p50 in `latency` and "
             "`onecore`: above 1 is better. `raw` is no RPC system but a bare libevent echo.", ""]
    tables = [markdown_table(name, summary) for name, summary in results["workloads"].items()]
    if results["settings"].get("against"):
        tables.append("### against another build\n\n" + against_table(results))
    return "\n".join(intro + tables)
