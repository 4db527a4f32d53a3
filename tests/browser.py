"""A look at a page in a real browser, without a screen and without the network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def overhang(page: str, folder: Path, width: int) -> str:
    """Return by how many pixels *page* is wider than a screen of *width*, as the browser says: ``wide 0``."""
    measure = "let e = document.documentElement; document.title = `wide ${e.scrollWidth - e.clientWidth}`"
    probe = f"<script>{measure}</script></body>"
    frame = f"<iframe src=page.html width={width} height=900></iframe>"
    (folder / "page.html").write_text(re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", probe))
    look = "<script>onload = () => document.body.append(frames[0].document.title)</script>"
    return "".join(re.findall(r"wide -?\d+", seen(f"<body>{frame}{look}", folder)))


def seen(page: str, folder: Path) -> str:
    """Return *page* as it stands once the browser has run what it may run of it."""
    (folder / "look.html").write_text(page)
    return subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}", "--window-size=1600,1000",
            "--dump-dom", (folder / "look.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=240, check=True,
    ).stdout  # fmt: skip
