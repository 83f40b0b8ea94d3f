// What every client program here has in common: its arguments, its data, and what it prints.
//
// A program is started as `node PROGRAM --bootstrap HOST:PORT --topic PREFIX [--scenario A,B] [--replication N]` and
// prints one JSON line per scenario: {client, version, scenario, ok, detail, seconds}. `ok` is null where the library
// does not offer the thing at all; `detail` then says so.

import { parseArgs } from "node:util";
import { isDeepStrictEqual, inspect } from "node:util";

export const RECORDS = 1000;
export const PARTITIONS = 3;
export const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"];
/** Event times start here and go on in steps of one second. */
export const FIRST_TIME_MS = 1_600_000_000_000;
/** A scenario that takes longer has failed. */
const SCENARIO_MS = 60_000;

/** The library has no way to do this. */
export class NotOffered extends Error {}

/** The arguments that each program takes. */
export function programArguments() {
  const text = { type: "string" };
  const { values } = parseArgs({
    options: {
      bootstrap: text,
      topic: text,
      scenario: { ...text, default: "all" },
      replication: { ...text, default: "3" },
    },
  });
  if (!values.bootstrap || !values.topic) throw new Error("--bootstrap and --topic are needed");
  return { ...values, replication: Number(values.replication) };
}

/** Runs the chosen scenarios one after the other, prints a line for each, and ends the program. */
export async function play(client, version, args, scenarios) {
  const chosen = args.scenario === "all" ? Object.keys(scenarios) : args.scenario.split(",");
  for (const scenario of chosen) {
    const began = Date.now();
    let ok = true;
    let detail = "";
    try {
      await within(SCENARIO_MS, scenarios[scenario](), "the scenario");
    } catch (error) {
      ok = error instanceof NotOffered ? null : false;
      detail = ok === null ? error.message : story(error);
    }
    console.log(JSON.stringify({ client, version, scenario, ok, detail, seconds: (Date.now() - began) / 1000 }));
  }
  process.exit(0);
}

/** An error with its causes and parts, short enough for one line. */
function story(error) {
  const causes = [error.cause, ...(error.errors ?? [])].filter(Boolean).map((one) => one.message);
  return [error.stack ?? String(error), ...causes].join(" | ").replaceAll("\n", " | ").slice(0, 700);
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

export function equal(actual, expected, what) {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(`${what}: ${inspect(actual)}, expected ${inspect(expected)}`);
  }
}

/** The value of record `index`: long enough for a codec to have something to do. */
export function value(index) {
  return Buffer.from(`record-${String(index).padStart(6, "0")}-${"abcdefgh".repeat(8)}`);
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for `promise`, for at most `ms`. */
export async function within(ms, promise, what) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `condition` until it gives something true, for at most `ms`. */
export async function until(ms, condition, what) {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    const result = await condition();
    if (result) return result;
    await pause(20);
  }
  throw new Error(`${what}: not within ${ms} ms`);
}

/** Checks that `records`, as {partition, offset, value}, are all of 0..RECORDS once, in order, without holes. */
export function whole(records, partitions = PARTITIONS) {
  equal(records.length, RECORDS, "records");
  const values = records.map((one) => one.value.toString()).sort();
  equal(
    values,
    Array.from({ length: RECORDS }, (_, index) => value(index).toString()),
    "values",
  );
  for (let partition = 0; partition < partitions; partition += 1) {
    const own = records.filter((one) => one.partition === partition);
    equal(
      own.map((one) => Number(one.offset)),
      own.map((_, index) => index),
      `offsets of partition ${partition}`,
    );
    const order = own.map((one) => one.value.toString());
    equal(order, [...order].sort(), `order of partition ${partition}`);
  }
}

/** The contract's checks want records of one partition together and in order of their offsets. */
export function sorted(records) {
  return [...records].sort((a, b) => a.partition - b.partition || Number(a.offset) - Number(b.offset));
}
