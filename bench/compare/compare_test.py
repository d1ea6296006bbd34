"""The comparison itself: what it parses, how it adds up, what it draws. Needs no build.

    python3 -m unittest bench/compare/compare_test.py
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
import xml.etree.ElementTree as ElementTree
from unittest import mock

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [FOLDER, os.path.dirname(FOLDER)]

import chart  # noqa: E402
import compare  # noqa: E402
import curve  # noqa: E402
import machine  # noqa: E402
import measurement  # noqa: E402
import process_stats  # noqa: E402
import results  # noqa: E402
import strace_per_call  # noqa: E402
import streams  # noqa: E402
from workloads import (  # noqa: E402
    PEERS, System, WORKLOADS, Workload, is_rival, is_weft, systems_for)

LINE = ('{"qps": 1000.0, "p50_us": 5.5, "p99_us": 9, "p999_us": 12, "ok": 3000, "err": 0, '
        '"client_cpu_us": 1.25}')


def figures(qps, p50=10.0, **more):
    return {"qps": qps, "p50_us": p50, "p99_us": 20.0, "p999_us": 30.0, "ok": 1, "err": 0,
            "client_cpu_us": 1.0, **more}


def comparison():
    """Results as compare.py makes them; in `page` a system that failed, and one that half did."""
    made = {
        "machine": {"cpu": "A <CPU> & more", "cores": 2, "kernel": "6.1", "compiler": "g++ 12",
                    "packages": {"gRPC": "1.51"}, "date": "2024-01-01", "load": 0.5},
        "settings": {"rounds": 3, "seconds": 3.0, "io": 1, "workers": 2, "server_args": [],
                     "client_args": [], "not_built": []},
        "workloads": {},
    }
    speeds = {"weft": 700e3, "raw": 900e3, "grpc_sync": 50e3, "grpc_callback": 80e3,
              "thrift": 20e3, "capnp": 130e3}
    for name, workload in WORKLOADS.items():
        rounds = {}
        for system in systems_for(workload, PEERS, "/build"):
            speed = speeds[system.name.split()[0]]
            rounds[system.name] = [figures(speed * factor, 1e6 / speed) for factor in (1, 3, 2)]
        if name == "page":
            rounds["thrift"] = [{"error": "5 failed calls | <bad>"}] * 3
            rounds["capnp"][1] = {"error": "not ready"}
        made["workloads"][name] = results.summary_of(workload, rounds)
    return made


class ClientLine(unittest.TestCase):
    def test_takes_the_last_json_line(self):
        parsed = measurement.parse_client_line("warming up\n{\"qps\": 1}\n" + LINE + "\n")
        self.assertEqual(parsed["qps"], 1000.0)
        self.assertEqual(parsed["err"], 0)
        self.assertEqual(parsed["client_cpu_us"], 1.25)

    def test_refuses_what_has_no_figures(self):
        for text in ("", "error: connect\n", "{not json}\n", "{}\n", LINE.replace("5.5", '"5.5"'),
                     LINE.replace("5.5", "NaN"), LINE.replace('"err": 0, ', "")):
            with self.subTest(text), self.assertRaises(measurement.RunFailed):
                measurement.parse_client_line(text)


class Proc(unittest.TestCase):
    def test_cpu_clock_of_another_process(self):
        with subprocess.Popen(["sh", "-c", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo; read x"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            child.stdout.readline()
            used = process_stats.cpu_clock_seconds(child.pid)
            child.communicate(b"\n")
        self.assertGreater(used, 0)
        with self.assertRaises(OSError):
            process_stats.cpu_clock_seconds(child.pid)

    def test_cpu_time_of_a_program_with_a_difficult_name(self):
        ticks = os.sysconf("SC_CLK_TCK")
        stat = f"7 (a b) c) S 1 7 7 0 -1 4 5 0 0 0 {3 * ticks} {ticks} 0 0 20 0 3 0 100 1 2"
        self.assertEqual(process_stats.cpu_seconds_of(stat), 4.0)

    def test_status_fields(self):
        status = "Name:\tx\nVmHWM:\t  2048 kB\nvoluntary_ctxt_switches:\t12\n"
        self.assertEqual(process_stats.status_field(status, "VmHWM"), 2048)
        self.assertEqual(process_stats.status_field(status, "voluntary_ctxt_switches"), 12)
        self.assertEqual(process_stats.status_field(status, "VmSwap"), 0)

    def test_rates_count_threads_that_came_and_forget_those_that_went(self):
        before = process_stats.Sample(10.0, 1.0, {"1": 100, "2": 50})
        after = process_stats.Sample(12.0, 2.0, {"1": 120, "3": 10})
        self.assertEqual(after.rates_since(before), (0.5, 15.0))

    def test_faults_are_those_without_a_disk(self):
        stat = "7 (a b) c) S 1 7 7 0 -1 4 1234 0 9 0 1 1 0 0 20 0 3 0 100 1 2"
        self.assertEqual(process_stats.faults_of(stat), 1234)
        before, after = (process_stats.Sample(when, 0, {}, faults)
                         for when, faults in ((1.0, 100), (3.0, 150)))
        self.assertEqual(after.faults_since(before), 25)

    def test_this_process_can_be_sampled(self):
        sample = process_stats.Sample.of(os.getpid())
        self.assertGreater(sample.cpu_seconds, 0)
        self.assertGreater(process_stats.peak_rss_mib(os.getpid()), 1)


class Machine(unittest.TestCase):
    def test_cpu_model(self):
        text = "processor : 0\nmodel name\t: Fast  CPU @ 3 GHz\nflags\t: sse hypervisor avx\n"
        self.assertEqual(machine.cpu_model(text), "Fast CPU @ 3 GHz (virtual machine)")
        self.assertEqual(machine.cpu_model(""), "unknown CPU")

    def test_describes_a_machine_without_a_build(self):
        described = machine.describe("/nowhere")
        self.assertGreaterEqual(described["cores"], 1)
        self.assertIn(described["kernel"], results.machine_line(described))


class Systems(unittest.TestCase):
    def test_weft_has_a_second_row_where_another_mode_answers(self):
        rows = {name: [system.name for system in systems_for(workload, PEERS, "/b")]
                for name, workload in WORKLOADS.items()}
        self.assertIn("weft elastic", rows["hol"])
        self.assertIn("weft inline", rows["onecore"])
        self.assertEqual(rows["mux"], list(PEERS))

    def test_commands_obey_the_contract(self):
        hol = WORKLOADS["hol"]
        elastic = next(system for system in systems_for(hol, ["weft"], "/b")
                       if system.name == "weft elastic")
        self.assertEqual(
            measurement.server_command(elastic, hol, 1234, more=["--spin-us", "0"]),
            ["/b/bench/echo_server", "--port", "1234", "--io", "1", "--workers", "2",
             "--sleep-every", "100", "--sleep-us", "5000", "--max-workers", "16",
             "--spin-us", "0"])
        self.assertEqual(
            measurement.client_command(elastic, hol, 1234, 3.0),
            ["/b/bench/echo_client", "--port", "1234", "--conns", "4", "--inflight", "8",
             "--payload", "32", "--seconds", "3.0", "--warmup", "1.0"])

    def test_who_is_a_rival(self):
        self.assertTrue(is_weft("weft inline"))
        self.assertFalse(is_rival("weft elastic"))
        self.assertFalse(is_rival("raw"))
        self.assertTrue(is_rival("grpc_sync"))


class Medians(unittest.TestCase):
    def test_each_figure_has_its_own_median(self):
        median = results.median_of([figures(1, 30), figures(3, 10), figures(2, 20)])
        self.assertEqual((median["qps"], median["p50_us"]), (2, 20))

    def test_rounds_that_failed_do_not_count(self):
        median = results.median_of([figures(1), {"error": "x"}, figures(2)])
        self.assertEqual(median["qps"], 1.5)
        self.assertIsNone(results.median_of([{"error": "x"}]))


class Ratios(unittest.TestCase):
    def test_more_calls_are_better(self):
        summary = comparison()["workloads"]["mux"]
        self.assertEqual(results.best_rival(summary), "capnp")
        to_raw, to_rival = results.ratios(summary, "weft")
        self.assertAlmostEqual(to_raw, 7 / 9)
        self.assertAlmostEqual(to_rival, 70 / 13)
        self.assertEqual(results.ratios(summary, "capnp")[1], 1)

    def test_less_latency_is_better(self):
        summary = comparison()["workloads"]["onecore"]
        self.assertEqual(results.best_rival(summary), "capnp")
        self.assertAlmostEqual(results.ratios(summary, "weft")[1], 70 / 13)
        self.assertLess(results.ratios(summary, "weft")[0], 1)

    def test_small_ratios_keep_their_digits(self):
        self.assertEqual([results.ratio_text(ratio) for ratio in (None, 301.4, 2.346, 0.00214)],
                         ["–", "301", "2.35", "0.0021"])

    def test_nothing_to_compare_with_is_no_ratio(self):
        workload = WORKLOADS["mux"]
        summary = results.summary_of(workload, {"weft": [figures(1)], "thrift": [{"error": "x"}]})
        self.assertIsNone(results.best_rival(summary))
        self.assertEqual(results.ratios(summary, "weft"), (None, None))
        self.assertEqual(results.ratios(summary, "thrift"), (None, None))


class Against(unittest.TestCase):
    """Another build of weft's in the same rounds."""

    def summary(self):
        return results.summary_of(WORKLOADS["block"], {
            "weft": [figures(200, server_cpu_us=1.0), figures(900), {"error": "x"}],
            "weft before": [figures(100, server_cpu_us=3.0), figures(300), figures(1)],
            "thrift": [figures(10)] * 3})

    def test_each_row_of_weft_has_the_other_build_behind_it(self):
        names = [system.name for system in
                 systems_for(WORKLOADS["hol"], ["weft", "raw"], "/now", against="/then")]
        self.assertEqual(names, ["weft", "weft before", "weft elastic", "weft elastic before",
                                 "raw"])
        system = systems_for(WORKLOADS["mux"], ["weft"], "/now", against="/then")[1]
        self.assertEqual(system.server, "/then/bench/echo_server")
        self.assertFalse(is_rival(system.name))

    def test_ratios_are_taken_within_a_round(self):
        ratios = results.against_ratios(self.summary(), "weft")
        self.assertEqual(ratios["calls"], 2.5)  # of 2 and 3
        self.assertEqual(ratios["cpu"], 0.75)  # of 2 / 4 and 1 / 1
        self.assertIsNone(results.against_ratios(self.summary(), "thrift"))

    def test_the_table_has_a_row_for_each_way_of_running(self):
        made = {"workloads": {"block": self.summary()}}
        table = results.against_table(made)
        self.assertIn("| block | weft | 2.50 | 0.75 |", table)
        self.assertEqual(len(table.splitlines()), 3)

    def test_streams_are_compared_within_a_round_too(self):
        rounds = {name: [{"messages_per_s": rate} for rate in rates]
                  for name, rates in (("weft", (10, 60, 30)), ("before", (10, 20, 10)))}
        self.assertEqual(streams.ratio_of(rounds, "weft", "before"), 3)
        self.assertEqual(list(streams.programs("/now", "/then")), ["weft", "before", "grpc"])


class Curve(unittest.TestCase):
    """Cost by size."""

    def rounds(self, cpu, faults=0.0, before=False):
        figure = figures(100, server_cpu_us=cpu / 2, server_faults=4.0, client_faults=2.0)
        figure["client_cpu_us"] = cpu / 2
        if not before:
            figure |= {"server_block_faults": faults, "client_block_faults": 0.0}
        return [figure, {"error": "x"}]

    def test_sizes_double_up_to_60_mib(self):
        self.assertEqual((curve.SIZES[0], curve.SIZES[-1]), (32, 60 << 20))
        self.assertTrue(all(large <= 2 * small
                            for small, large in zip(curve.SIZES, curve.SIZES[1:])))

    def test_a_cliff_is_a_byte_that_costs_more_than_at_half_the_size(self):
        self.assertEqual(curve.steps([2.0, 1.0, None, 1.0, 1.6]), [None, 0.5, None, None, 1.6])
        sizes = (1 << 20, 2 << 20, 16 << 20)
        self.assertEqual(curve.cliffs(sizes, [1.0, 1.4, 1.5], [0.0, 0.1, 50.0]), [])
        found = curve.cliffs(sizes, [1.0, 1.6, 1.6], [0.2, 0.0, 0.0])
        self.assertEqual(found, ["1 MiB: 0.20 faults a call in new blocks",
                                 "2 MiB: a byte costs 1.60 times what it does at half the size"])

    def test_the_table_has_a_row_for_each_size_and_says_what_is_beyond_the_bounds(self):
        sizes = (1024, 2048)
        rounds = {1024: self.rounds(1.024), 2048: self.rounds(8.192, faults=0.5)}
        others = {1024: self.rounds(2.048, before=True), 2048: [{"error": "x"}]}
        text = curve.table(sizes, rounds, others)
        self.assertIn("| 1 KiB | 100 | 1.0 | 1.000 | – | 4.00 | 2.00 | 0.000 | 1.00 | 0.50 |", text)
        self.assertIn("| 2 KiB | 100 | 8.2 | 4.000 | 4.00 | 4.00 | 2.00 | 0.500 | – | – |", text)
        self.assertIn("2 KiB: a byte costs 4.00 times", text)
        self.assertIn("No cliff.", curve.table(sizes[:1], rounds, None))

    def test_a_server_is_asked_for_its_blocks_by_a_signal(self):
        text = """
            import signal, sys
            asked = 0
            def tell(*_):
                global asked
                asked += 1
                print('{"block_faults": %d}' % (100 * asked), flush=True)
            signal.signal(signal.SIGUSR1, tell)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            print("READY", flush=True)
            while True: signal.pause()
            """
        client = "import time; time.sleep(1.6); print('" + LINE[:-1] + ', "block_faults": 0.25}\')'
        with tempfile.TemporaryDirectory() as folder:
            programs = []
            for name, program in (("server", textwrap.dedent(text)), ("client", client)):
                programs.append(os.path.join(folder, name))
                with open(programs[-1], "w", encoding="utf-8") as file:
                    file.write(f"#!{sys.executable}\n" + program)
                os.chmod(programs[-1], 0o755)
            result = measurement.measure(System("fake", *programs), Runs.WORKLOAD, 0.5,
                                         server_args=(measurement.REPORT_BLOCKS,))
        self.assertNotIn("error", result)
        self.assertEqual(result["client_block_faults"], 0.25)
        self.assertAlmostEqual(result["server_block_faults"], 100 / (0.8 * 0.5) / 1000)


class Tables(unittest.TestCase):
    def test_an_error_is_a_row_never_hidden(self):
        made = comparison()
        self.assertTrue(results.has_errors(made))
        text = results.text_table("page", made["workloads"]["page"])
        self.assertIn("ERROR thrift, round 1: 5 failed calls", text)
        self.assertIn("ERROR capnp, round 2: not ready", text)
        table = results.markdown_table("page", made["workloads"]["page"])
        self.assertIn("| thrift: error | round 3: 5 failed calls \\| &lt;bad> |", table)

    def test_without_errors_there_are_none(self):
        made = comparison()
        del made["workloads"]["page"]
        self.assertFalse(results.has_errors(made))

    def test_every_row_of_a_markdown_table_has_all_its_cells(self):
        made = comparison()
        for name, summary in made["workloads"].items():
            rows = [line for line in results.markdown_table(name, summary).splitlines()
                    if line.startswith("|")]
            cells = {line.replace("\\|", "").count("|") for line in rows}
            self.assertEqual(len(cells), 1, name)

    def test_markdown_names_the_machine_and_what_is_missing(self):
        made = comparison()
        made["settings"]["not_built"] = ["thrift"]
        made["settings"]["client_args"] = ["--protocol", "grpc"]
        text = results.markdown(made)
        for part in ("A <CPU> & more", "2 cores", "6.1", "g++ 12", "gRPC 1.51", "2024-01-01",
                     "Not built, so not measured: thrift", "`--protocol grpc`", "### hol"):
            self.assertIn(part, text)


class Chart(unittest.TestCase):
    SVG = "{http://www.w3.org/2000/svg}"

    def draw(self, made):
        return ElementTree.fromstring(chart.render(made))

    def test_is_well_formed_and_has_every_panel(self):
        root = self.draw(comparison())
        texts = [text.text for text in root.iter(self.SVG + "text")]
        for name in WORKLOADS:
            self.assertIn(name, texts)
        self.assertEqual(texts.count("weft"), len(WORKLOADS))
        self.assertEqual(texts.count("failed"), 1)

    def test_nothing_leaves_its_panel(self):
        root = self.draw(comparison())
        panels = [rect for rect in root.iter(self.SVG + "rect") if rect.get("class") == "panel"]
        for rect in root.iter(self.SVG + "rect"):
            if rect.get("class") in ("bar", "weft"):
                x, y, width = (float(rect.get(key)) for key in ("x", "y", "width"))
                inside = [panel for panel in panels
                          if float(panel.get("x")) <= x
                          and x + width <= float(panel.get("x")) + chart.PANEL - chart.VALUE
                          and float(panel.get("y")) <= y
                          <= float(panel.get("y")) + float(panel.get("height"))]
                self.assertEqual(len(inside), 1)

    def test_descriptions_fit_their_panel(self):
        for workload in WORKLOADS.values():
            self.assertLessEqual(len(workload.shows), 48, workload.name)

    def test_rows_are_sorted_best_first_and_failures_last(self):
        made = comparison()["workloads"]
        self.assertEqual([name for name, _ in chart.sorted_rows(made["page"])],
                         ["weft", "capnp", "grpc_callback", "grpc_sync", "thrift"])
        self.assertEqual([name for name, _ in chart.sorted_rows(made["latency"])][0], "weft")
        self.assertEqual([name for name, _ in chart.sorted_rows(made["latency"])][-1], "thrift")

    def test_draws_what_little_there_is(self):
        made = comparison()
        for keep in ([], ["mux"], ["mux", "fan", "hol", "page"]):
            few = copy.deepcopy(made)
            few["workloads"] = {name: made["workloads"][name] for name in keep}
            self.draw(few)
        only = results.summary_of(WORKLOADS["mux"], {"weft": [{"error": "x"}]})
        self.draw({**made, "workloads": {"mux": only}})
        self.draw({**made, "workloads": {
            "mux": results.summary_of(WORKLOADS["mux"], {"raw": [figures(5)]})}})

    def test_a_far_ceiling_does_not_crush_the_bars(self):
        self.assertAlmostEqual(chart.scale_of([100, 50], 900, True), 115)
        self.assertEqual(chart.scale_of([100, 50], 200, True), 200)
        self.assertEqual(chart.scale_of([100, 50], 10, True), 100)
        self.assertEqual(chart.scale_of([100, 50], 900, False), 900)

    def test_value_labels(self):
        for metric, value, label in (
                ("p50_us", 5.04, "5.04 µs"), ("p50_us", 23.44, "23.4 µs"),
                ("p50_us", 150.2, "150 µs"), ("p50_us", 1250, "1.25 ms"),
                ("qps", 752_400, "752 k/s"), ("qps", 4_185_000, "4.18 M/s"),
                ("qps", 1_209, "1,209 /s"), ("qps", 12.5, "12.5 /s"),
                ("qps", 23_988_480, "24.0 M/s"), ("qps", 0.5, "0.50 /s")):
            self.assertEqual(chart.value_label(metric, value), label)


class SystemCalls(unittest.TestCase):
    SUMMARY = textwrap.dedent("""\
        strace: Process 12 attached
        % time     seconds  usecs/call     calls    errors syscall
        ------ ----------- ----------- --------- --------- ----------------
         60.00    0.000600           1       600        20 read
         40.00    0.000400           1       400           writev
        ------ ----------- ----------- --------- --------- ----------------
        100.00    0.001000           1      1000        20 total
        """)

    def test_parses_the_summary_of_strace(self):
        self.assertEqual(strace_per_call.parse_summary(self.SUMMARY), {"read": 600, "writev": 400})

    def test_what_both_runs_have_does_not_count(self):
        rates = strace_per_call.per_call(({"read": 110, "mmap": 50}, 100),
                                         ({"read": 310, "mmap": 50, "write": 100}, 300))
        self.assertEqual(rates, {"read": 1.0, "write": 0.5})
        self.assertEqual(strace_per_call.cell(rates), "1.50 (read 1.00, write 0.50)")

    def test_a_longer_run_with_fewer_calls_is_refused(self):
        with self.assertRaises(measurement.RunFailed):
            strace_per_call.per_call(({}, 10), ({}, 10))


class CommandLine(unittest.TestCase):
    def test_defaults_are_all_workloads(self):
        options = compare.parse_arguments([])
        self.assertEqual(options.cases, list(WORKLOADS))
        self.assertIsNone(options.peers)

    def test_lists_and_flags_for_the_systems(self):
        options = compare.parse_arguments(
            ["--peers", "weft,raw", "--cases", "mux,fan", "--client-args=--protocol grpc"])
        self.assertEqual((options.peers, options.cases), (["weft", "raw"], ["mux", "fan"]))
        self.assertEqual(options.client_args, ["--protocol", "grpc"])

    def test_unknown_names_are_refused(self):
        with mock.patch("sys.stderr"), self.assertRaises(SystemExit):
            compare.parse_arguments(["--peers", "weft,carrier_pigeon"])

    def test_a_peer_that_is_not_built_is_left_out_unless_asked_for(self):
        with tempfile.TemporaryDirectory() as build:
            peers, absent = compare.choose_peers(compare.parse_arguments(["--build", build]))
            self.assertEqual(peers, ["weft"])
            self.assertIn("grpc_sync", absent)
            asked = compare.parse_arguments(["--build", build, "--peers", "raw"])
            self.assertEqual(compare.choose_peers(asked), (["raw"], []))


class Runs(unittest.TestCase):
    """Whole runs, with scripts in place of the programs."""

    SERVER = """
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(STATUS))
        print("READY", flush=True)
        while True: signal.pause()
        """
    CLIENT = """
        import time
        time.sleep(1.6)
        print('LINE')
        """
    WORKLOAD = Workload("mux", "", 1, 1, 32)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def program(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!{sys.executable}\n" + textwrap.dedent(text))
        os.chmod(path, 0o755)
        return path

    def run_once(self, server=None, client=None):
        return measurement.measure(System(
            "fake", self.program("server", server or self.SERVER.replace("STATUS", "0")),
            self.program("client", client or self.CLIENT.replace("LINE", LINE))),
            self.WORKLOAD, 0.5)

    def test_a_good_run_has_the_figures_of_both_sides(self):
        result = self.run_once()
        self.assertNotIn("error", result)
        self.assertEqual(result["qps"], 1000.0)
        self.assertGreater(result["server_rss_mib"], 1)
        for key in ("server_cpu_us", "server_switches", "client_switches", "client_rss_mib"):
            self.assertGreaterEqual(result[key], 0)

    def test_failed_calls_are_an_error(self):
        client = self.CLIENT.replace("LINE", LINE.replace('"err": 0', '"err": 3'))
        self.assertIn("3 failed calls", self.run_once(client=client)["error"])

    def test_a_client_that_dies_is_an_error_that_says_why(self):
        error = self.run_once(client="import sys; sys.exit('connect: refused')")["error"]
        self.assertIn("no figures", error)
        self.assertIn("connect: refused", error)

    def test_a_server_that_does_not_start_is_an_error_that_says_why(self):
        error = self.run_once(server="import sys; sys.exit('port in use')")["error"]
        self.assertIn("not ready", error)
        self.assertIn("port in use", error)

    def test_a_server_that_ends_badly_is_an_error(self):
        self.assertIn("status 4", self.run_once(server=self.SERVER.replace("STATUS", "4"))["error"])

    def test_what_is_not_built_is_an_error(self):
        result = measurement.measure(System("x", "/no/server", "/no/client"), self.WORKLOAD, 0.5)
        self.assertEqual(result, {"error": "not built: /no/server"})

    def test_any_error_makes_the_exit_status_1_and_a_row(self):
        table = os.path.join(self.folder, "table.md")
        figures_file = os.path.join(self.folder, "figures.json")
        drawing = os.path.join(self.folder, "chart.svg")
        run = subprocess.run(
            [sys.executable, os.path.join(FOLDER, "compare.py"), "--build", self.folder, "--peers",
             "weft,raw", "--cases", "mux", "--rounds", "1", "--seconds", "0.5", "--markdown", table,
             "--json", figures_file, "--svg", drawing],
            capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("ERROR raw, round 1: not built", run.stdout)
        with open(table, encoding="utf-8") as file:
            self.assertIn("raw: error", file.read())
        with open(figures_file, encoding="utf-8") as file:
            self.assertIn("mux", json.load(file)["workloads"])
        ElementTree.parse(drawing)


if __name__ == "__main__":
    unittest.main()
