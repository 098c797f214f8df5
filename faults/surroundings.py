"""Other surroundings: clock, time zone, hash seed, locale, umask, no home, read-only, no cache.

The clock is set back by a library loaded before all others: it reaches Python, C and C++ in every
process of a stage, not the kernel; files that lie there are given a time a year ago.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from faults import _ground as ground
from faults._stages import command
from faults.tally import Tally
from testing.project import TINY, Project

REPEATS = 2
SHORT = 1
MUST = "the same digests, or one clear line"
YEAR = 31_536_000
STAGES = ("prepare", "train", "checkpoint", "export-complete")
ARTIFACTS = ("data", "train", "checkpoint", "complete-model")
MODELS = {
    "torch_mlp": TINY,
    "keras_mlp": (*TINY, "model=keras_mlp", "export.formats=[saved_model]"),
}

CLOCK = f"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *t) {{
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(which, t);
  if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) t->tv_sec -= {YEAR};
  return failed;
}}
int gettimeofday(struct timeval *restrict t, void *restrict zone) {{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}}
time_t time(time_t *t) {{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}}
"""
NOW = """
import time, datetime
print(int(time.time()), datetime.datetime.now().year, time.localtime()[0])
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    environ: dict[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    umask: int = -1
    old: bool = False
    """Every file is given a time a year ago."""

    def run(self, project: Project, words: list[str]) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if k not in self.without}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            words,
            cwd=project.root,
            env={**inherited, "PATH": path, **self.environ},
            umask=self.umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


def unavailable(scratch: Path) -> str | None:
    return None if shutil.which("cc") else "no C compiler (cc) to set the clock back with"


def places(scratch: Path) -> dict[str, Place]:
    other = scratch / "andere Dateien, für jetzt"
    other.mkdir(parents=True)
    clock = scratch / "clock.so"
    (scratch / "clock.c").write_text(CLOCK)
    compiler = ["cc", "-shared", "-fPIC", "-o", str(clock), str(scratch / "clock.c"), "-ldl"]
    subprocess.run(compiler, check=True)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return {
        "clock": Place(environ={"LD_PRELOAD": str(clock)}, old=True),
        "time zone": Place(environ={"TZ": "Pacific/Kiritimati"}),
        "hash seed": Place(environ={"PYTHONHASHSEED": "4242"}),
        "locale": Place(environ=plain, without=("LANG", "LANGUAGE", "LC_CTYPE")),
        "umask": Place(umask=0o077),
        "temporary directory": Place(environ={"TMPDIR": str(other)}),
        "no home": Place(without=("HOME", "USER", "LOGNAME")),
    }


def together(every: dict[str, Place]) -> Place:
    environ = {k: v for place in every.values() for k, v in place.environ.items()}
    without = tuple(name for place in every.values() for name in place.without)
    return Place(environ=environ, without=without, umask=0o077, old=True)


def run(repeats: int, scratch: Path) -> Tally:
    if reason := unavailable(scratch):
        return Tally(broken=[reason])
    """All at once for each model; in the full suite each by itself, too."""
    tally = Tally()
    every = places(scratch)
    _demand_shifted(tally, every["clock"], scratch)
    for model, overrides in MODELS.items():
        start = ground.project(scratch / model / "start" / "project", *overrides)
        usual = start.copied(scratch / model / "usual" / "project")
        for stage in STAGES:
            usual.stage(stage)
        chosen = {"all at once": together(every)}
        if repeats > SHORT and model == "torch_mlp":
            chosen |= every
        for name, place in chosen.items():
            there = start.copied(scratch / model / name / "project")
            _same(tally, f"{model}, {name}", place, there, usual)
        if model == "torch_mlp":
            read_only(tally, usual.copied(scratch / "read-only" / "project"))
            no_cache(tally, there, usual)
    return tally


def _demand_shifted(tally: Tally, clock: Place, scratch: Path) -> None:
    said = clock.run(Project(scratch), [sys.executable, "-c", NOW]).stdout.split()
    year = time.localtime(time.time() - YEAR).tm_year
    shifted = abs(int(said[0]) - time.time() + YEAR) < 100 and said[1:] == [str(year)] * 2
    tally.demand(shifted, f"the clock was not shifted: {said}")


def _made(place: Place, project: Project) -> str:
    """Every stage up to the complete model, as DVC runs them there; what was said if one failed."""
    done = place.run(project, ["dvc", "repro", STAGES[-1]])
    return done.stdout[-800:] if done.returncode else ""


def _same(tally: Tally, what: str, place: Place, there: Project, usual: Project) -> None:
    tally.tried += 1
    if place.old:
        for path in there.root.rglob("*"):
            os.utime(path, times=(time.time() - YEAR,) * 2, follow_symlinks=False)
    failed = _made(place, there)
    if not tally.demand(not failed, f"{what}: {failed}"):
        return
    different = [name for name in ARTIFACTS if _digests(there, name) != _digests(usual, name)]
    held = tally.demand(not different, f"{what}: other bytes in {', '.join(different)}")
    tally.survived += held


def _digests(project: Project, artifact: str) -> dict[str, str]:
    root = project.root / "artifacts" / artifact
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def read_only(tally: Tally, project: Project) -> None:
    """A mount, because root may write to a directory without write permission."""
    here = project.root
    before = {name: _digests(project, name) for name in ARTIFACTS}
    for stage in ("train", "export-complete", "log-to-mlflow"):
        place = here / ("reports" if stage == "log-to-mlflow" else "artifacts")
        place.mkdir(exist_ok=True)
        mount = (
            f"mount --bind '{place}' '{place}' && "
            f"mount -o remount,ro,nosuid,nodev,bind '{place}' && exec \"$@\""
        )
        words = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh"]
        tally.tried += 1
        done = Place().run(project, [*words, *command(project, stage)])
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"error: {stage}: ")]
        told = done.returncode == 1 and len(lines) == 1 and "Traceback" not in done.stdout
        told &= "ead-only" in done.stdout or "missing" in done.stdout
        told &= before == {name: _digests(project, name) for name in ARTIFACTS}
        if tally.demand(told, f"read-only, {stage}: {done.returncode} {done.stdout[-800:]}"):
            tally.refused += 1


def no_cache(tally: Tally, project: Project, usual: Project) -> None:
    """DVC's copies are gone: what lies in the work tree still counts, and all can be made again."""
    wanted = {name: _digests(usual, name) for name in ARTIFACTS}

    def same() -> bool:
        return wanted == {name: _digests(project, name) for name in ARTIFACTS}

    repro = ["dvc", "repro", STAGES[-1]]
    shutil.rmtree(project.root / ".dvc/cache")
    for what in ("the artifacts lie there", "they are gone, too"):
        tally.tried += 1
        if what != "the artifacts lie there":
            shutil.rmtree(project.root / ".dvc/cache", ignore_errors=True)
            shutil.rmtree(project.root / "artifacts")
            refused = project.run("dvc", "checkout", check=False)
            tally.demand(refused.returncode != 0, f"no cache, {what}: dvc checkout said nothing")
            tally.demand("artifacts" in refused.stdout, f"no cache, {what}: {refused.stdout}")
        done = project.run(*repro, check=False)
        held = tally.demand(done.returncode == 0, f"no cache, {what}: {done.stdout[-800:]}")
        held &= tally.demand(same(), f"no cache, {what}: other bytes")
        tally.survived += held
