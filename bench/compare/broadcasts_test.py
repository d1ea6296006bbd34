"""Broadcasts side by side: how their processes are started, and what is made of their figures.

    python3 -m unittest bench/compare/broadcasts_test.py
"""

import os
import sys
import unittest
from unittest import mock

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]

import broadcasts  # noqa: E402
import measurement  # noqa: E402


class Broadcasts(unittest.TestCase):
    def test_servers_are_told_their_place_and_port(self):
        systems = broadcasts.broadcasters("/build")
        self.assertEqual(
            broadcasts.server_command(systems["weft inline"], 3, 20000, 9, 1, 2)[1:],
            ["--serve", "3", "--port", "20000", "--conns", "9", "--inline", "--io", "1", "--workers", "2"])
        self.assertEqual(
            broadcasts.server_command(systems["capnp"], 3, 20000, 9, 1, 2),
            ["/build/bench/peers/capnp/server", "--port", "20002", "--io", "1", "--workers", "2"])

    def test_ratios_are_medians_of_the_rounds_own(self):
        def rounds(*values):
            return [{"p50_us": value, "cpu_us": value} for value in values]

        found = {
            ("weft", 32): {"broadcasts": rounds(30, 90, 40), "calls": rounds(1, 1, 1)},
            ("grpc_callback", 32): {"broadcasts": rounds(100, 100, 100), "calls": rounds(2, 2, 2)},
            ("capnp", 32): {"broadcasts": rounds(40, 120, 40), "calls": rounds(2, 2, 2)},
        }
        table = broadcasts.ratios_table(found, [32])
        self.assertIn("| 32 B | weft : grpc_callback | p50 | 0.400 | 0.4 | 0.500 | 0.80 | 1.15 | yes |", table)
        # Within the first aim, and too far from what its calls do.
        self.assertIn("| 32 B | weft : capnp | p50 | 0.750 | 0.85 | 0.500 | 1.50 | 1.15 | **no** |", table)

    def test_ports_follow_each_other(self):
        asked = []
        with mock.patch.object(measurement, "_is_free", lambda port: asked.append(port) or len(asked) != 2):
            first = measurement.free_port(3)
        self.assertEqual(asked[-3:], [first, first + 1, first + 2])
        self.assertEqual(len(asked), 5)


if __name__ == "__main__":
    unittest.main()
