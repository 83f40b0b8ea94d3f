"""What every client program here has in common: its arguments, its data, and what it prints.

A program is started as `PROGRAM --bootstrap HOST:PORT --topic PREFIX [--scenario A,B] [--replication N]` and prints
one JSON line per scenario: {"client", "version", "scenario", "ok", "detail", "seconds"}. `ok` is null where the library does
not offer the thing at all; `detail` then says so.
"""

import argparse
import json
import time
import traceback

RECORDS = 1000
PARTITIONS = 3
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
#: Event times start here (2020-09-13T12:26:40Z) and go on in steps of one second.
FIRST_TIME_MS = 1_600_000_000_000


class NotOffered(Exception):
    """The library has no way to do this."""


def arguments():
    """The arguments that each program takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True, help="prefix of every topic and group made here")
    parser.add_argument("--scenario", default="all")
    parser.add_argument("--replication", type=int, default=3)
    return parser.parse_args()


def plain():
    """Scenarios that take no parameter; their methods have the same names."""
    return [
        "create-topic",
        "idempotent",
        "fidelity",
        "group-consume",
        "commit-resume",
        "reset-earliest",
        "reset-latest",
        "reset-none",
        "reset-duration",
        "out-of-range",
        "offsets-for-times",
        "static-membership",
        "admin-topics",
        "admin-partitions",
        "admin-configs",
        "admin-delete-records",
        "admin-groups",
        "recreate",
    ]


def play(client, version, args, scenarios, named=None):
    """Runs the chosen scenarios one after the other and prints a line for each; those `named` only where named."""
    every, scenarios = list(scenarios), scenarios | (named or {})
    chosen = every if args.scenario == "all" else args.scenario.split(",")
    for name in chosen:
        began = time.monotonic()
        try:
            scenarios[name]()
            ok, detail = True, ""
        except NotOffered as reason:
            ok, detail = None, str(reason)
        except Exception:
            ok, detail = False, failure()
        report(client, version, name, ok, detail, time.monotonic() - began)


def report(client, version, scenario, ok, detail, seconds):
    """Prints the line of one scenario."""
    line = {"client": client, "version": version, "scenario": scenario, "ok": ok, "detail": detail}
    print(json.dumps(line | {"seconds": round(seconds, 2)}), flush=True)


def failure():
    """The exception under way, short enough for one line."""
    return traceback.format_exc(limit=-3).strip().replace("\n", " | ")[-700:]


def check(condition, message):
    """An assertion that stays when assertions are off."""
    if not condition:
        raise AssertionError(message)


def equal(actual, expected, what):
    """An assertion that shows both sides."""
    check(actual == expected, f"{what}: {actual!r}, expected {expected!r}")


def value(index):
    """The value of record `index`: long enough for a codec to have something to do."""
    return (f"record-{index:06d}-" + "abcdefgh" * 8).encode()


def until(seconds, condition, what):
    """Calls `condition` until it gives something true, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def whole(records, partitions=PARTITIONS):
    """Checks that `records`, as (partition, offset, value), are all of 0..RECORDS once, in order, without holes."""
    equal(len(records), RECORDS, "records")
    equal({one[2] for one in records}, {value(index) for index in range(RECORDS)}, "values")
    for partition in range(partitions):
        own = [one for one in records if one[0] == partition]
        equal([one[1] for one in own], list(range(len(own))), f"offsets of partition {partition}")
        equal([one[2] for one in own], sorted(one[2] for one in own), f"order of partition {partition}")
