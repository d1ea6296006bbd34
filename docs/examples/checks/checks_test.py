#!/usr/bin/env python3
"""Each rule of check_docs.py finds a fault that was planted for it, and nothing in a page without one."""

import pathlib
import tempfile
import unittest

import check_docs
import pages


class PlantedFaults(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weft-docs-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def page(self, text):
        page = self.folder / "page.md"
        page.write_text(text, encoding="utf-8")
        return page

    def changed(self, path, old, new):
        text = (pages.ROOT / path).read_text(encoding="utf-8")
        self.assertIn(old, text)
        return self.page(text.replace(old, new, 1))

    def found(self, lines, *parts):
        lines = list(lines)
        self.assertEqual(len(lines), 1, lines)
        for part in parts:
            self.assertIn(part, lines[0])

    def test_links(self):
        self.found(check_docs.links([self.page("# Here\n[a](page.md) [b](#here) [c](none.md) [d](https://x.org)\n")]),
                   "none.md", ":2:")
        self.found(check_docs.links([self.page("# Here\n[a](page.md#there)\n")]), "no such heading")
        self.found(check_docs.links([self.page("# H\n```text\n[a](none.md)\n```\n[b](gone.md)\n")]), "gone.md")

    def test_prose(self):
        self.found(check_docs.prose([self.page("A call ends.\nWhoever made it is told what it needs.\n")]), "Whoever", ":2:")
        self.found(check_docs.prose([self.page("- Those that wait, end.\n- Calls that wait: say\n  what ends.\n")]), "Those")
        self.found(check_docs.prose([self.page("| a | it ends. What is left goes |\n|---|---|\n")]), "What")
        self.found(check_docs.prose([self.page("It goes on:\nwhat\nWhat\n\nWhether it does\n")]), "Whether")
        self.assertEqual(list(check_docs.prose([self.page("**What follows.** Is it so?\nOne of them\nWhat ends it?\n")])), [])

    def test_paths(self):
        self.found(check_docs.paths([self.page("`core/log.h` `core/*.h` `docs/examples` `core/none.h`\n")]), "none.h")

    def test_names(self):
        self.found(check_docs.names([self.page("`EventLoop::Post` `kPeerClosed` `EventLoop::Poste` `any text`\n")]),
                   "Poste")
        self.found(check_docs.names([self.page('```mermaid\na["x<br/>EventLoop"] -->|"Mailman"| b\n```\n')]), "Mailman")

    def test_options(self):
        path = "docs/operations.md"
        row = "| `io_threads` | `1` | I/O threads; connections"
        self.found(check_docs.options(self.changed(path, row, row.replace("`1`", "`2`"))), "io_threads is 1, not 2")
        found = list(check_docs.options(self.changed(path, row, row.replace("io_threads", "io_thread"))))
        self.assertEqual(len(found), 2, found)
        self.found(check_docs.options(self.changed(path, "| `weft.inline` | `false`", "| `weft.inline` | `true`")),
                   "weft.inline is false")

    def test_excerpts(self):
        self.found(check_docs.excerpts([self.page("```c++\nint no_example_has_this;\n```\n")]), "no_example_has_this")
        self.found(check_docs.excerpts([self.page("```cpp\nint of_no_program;\n```\n")]), "the page has no program")

    def test_graph(self):
        path = "docs/architecture.md"
        arrow = '  rpc_call["rpc/call"] --> rpc_base["rpc/base"]\n'
        self.found(check_docs.graph(self.changed(path, arrow, "")), "lacks rpc/call -> rpc/base")
        self.found(check_docs.graph(self.changed(path, arrow, arrow + '  a["core"] --> b["rpc/base"]\n')),
                   "core -> rpc/base")

    def test_texts(self):
        self.found(check_docs.texts(self.changed("docs/errors.md", "`cancelled by the caller`", "`cancelled by a caller`")),
                   "cancelled by a caller")

    def test_reasons(self):
        self.found(check_docs.reasons(self.changed("docs/errors.md", "| `kBroken` | `broken` |", "| `kBroken` | `torn` |")),
                   "torn")

    def test_verbs(self):
        self.found(check_docs.verbs([self.page("`./dev demo` and `./dev dance`\n")]), "dance")

    def test_blocks(self):
        page = self.page("```cpp\nint a;\n```\ntext\n```cpp\nint b;\n```\n")
        self.assertEqual(pages.program(page, "cpp"), "int a;\n\nint b;\n")
        with self.assertRaises(ValueError):
            pages.blocks(self.page("```cpp\nint a;\n"))


if __name__ == "__main__":
    unittest.main()
