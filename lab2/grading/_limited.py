"""Set limits and become another program. Run as a file, so that lab2 is not loaded: see `isolation`.

Arguments: bytes of memory, seconds of CPU time, bytes of a file, seconds until it is killed even if its parent has
ended; then the program and its arguments.
"""

import os
import signal
import sys


def limit(name, value):
    """Set one limit of this process and its children; report if the system cannot."""
    import resource

    try:
        resource.setrlimit(getattr(resource, name), (value, value))
    except (AttributeError, ValueError, OSError) as problem:
        print(f"no {name} here: {problem}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    memory, cpu, size, seconds = (int(text) for text in sys.argv[1:5])
    limit("RLIMIT_AS", memory)
    limit("RLIMIT_CPU", cpu)
    limit("RLIMIT_FSIZE", size)
    limit("RLIMIT_CORE", 0)
    signal.alarm(seconds)  # survives execv
    os.execv(sys.argv[5], sys.argv[5:])
