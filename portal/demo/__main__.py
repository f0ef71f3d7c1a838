"""`python -m portal.demo`: start the demo; `--reset` deletes its data; `--manage …` runs a command on the running one."""

from __future__ import annotations

import argparse
import json
import os
import sys

from portal.demo.folder import ROOT, DemoError, DemoFolder
from portal.demo.progress import say
from portal.embedded import EmbeddedError


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 1 after one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="make demo", description="Start the portal with demo data and live traffic.")
    parser.add_argument("--reset", action="store_true", help="stop the demo and delete its data")
    parser.add_argument("--no-traffic", action="store_true", help="start without generated traffic")
    parser.add_argument("--manage", nargs=argparse.REMAINDER, help="run a management command on the running demo")
    options = parser.parse_args(arguments)
    folder = DemoFolder()
    try:
        if options.manage is not None:
            return _manage(folder, options.manage)
        if options.reset:
            existed = folder.path.exists()
            folder.reset()
            say(
                f"{folder.path} is deleted: the next `make demo` starts over."
                if existed
                else "There is nothing to reset."
            )
            return 0
        from portal.demo.run import Demo  # after the checks above, which need no third-party package

        return Demo(folder, traffic=not options.no_traffic).run()
    except (DemoError, EmbeddedError) as error:
        print(f"demo: {error}", file=sys.stderr, flush=True)
        return 1


def _manage(folder: DemoFolder, command: list[str]) -> int:
    """Become `manage.py <command>` in the environment of the running demo."""
    try:
        environment = json.loads(folder.environment_file.read_text())
    except OSError:
        raise DemoError("No demo runs on this folder: start it with `make demo` first.") from None
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, "manage.py", *command], {**os.environ, **environment})


if __name__ == "__main__":
    sys.exit(main())
