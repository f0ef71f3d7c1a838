"""How Chromium is found and started, for tests and for pictures. Knows nothing of Django."""

from __future__ import annotations

import os
import shutil

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SCROLL = """async () => {
  const visit = async () => { for (let y = 0; y < document.body.scrollHeight; y += 500) { scrollTo(0, y); await new Promise(requestAnimationFrame); } };
  const end = performance.now() + 20000;
  do { await visit(); await new Promise((next) => setTimeout(next, 50)); } while (document.querySelector("[data-lazy]") && performance.now() < end);
  await visit();
  scrollTo(0, 0);
}"""
"""Visits every part of a page, so that lazy parts are fetched and charts are drawn, and returns to the top."""


def find() -> str | None:
    """The program, by $CHROMIUM or on the path; None when there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
