"""Code that runs in a fresh Python process."""

import os
import subprocess
import sys


def run_python(code, *args, flags=(), check=True, **environment):
    """Run `code` with `python -c`, and return the completed process.

    A value of None in `environment` removes the variable. With `check`, an exit code
    other than 0 fails the test and shows standard error.
    """
    variables = os.environ | environment
    done = subprocess.run(
        [sys.executable, *flags, "-c", code, *map(str, args)],
        capture_output=True,
        text=True,
        env={name: v for name, v in variables.items() if v is not None},
    )
    assert not check or done.returncode == 0, done.stderr
    return done
