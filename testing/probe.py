"""Programs that say what process they are."""

PROBE = """
import json, os, resource, sys
umask = os.umask(0)
lasting = {k: v for k, v in os.environ.items() if k not in ("_", "SHLVL", "LC_CTYPE")}
print(json.dumps({
    "argv": sys.argv, "path": sys.path, "orig_argv": sys.orig_argv[1:],
    "main": [__name__, __file__],
    "package": __package__, "cwd": os.getcwd(), "umask": umask, "environ": lasting,
    "group": os.getpgid(0), "leads": os.getsid(0) == os.getpid(), "stdin": sys.stdin.read(),
    "encoding": [sys.stdout.encoding, sys.getfilesystemencoding(), sys.stderr.errors],
    "handlers": [str(__import__("signal").getsignal(n)) for n in (1, 2, 13, 15, 17)],
    "modules": "sklearn" in sys.modules, "streams": [os.isatty(n) for n in range(3)],
    "files": sorted(os.listdir("/proc/self/fd"))[:3], "limits": resource.getrlimit(7),
}))
"""
LASTS = r"""
import os, signal, sys, time
signal.signal(15, lambda *_: (os.write(1, b"asked\n"), sys.exit(143)))
print(os.getpid(), flush=True)
time.sleep(60)
"""
