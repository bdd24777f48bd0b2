// What the page says about streams. Nothing here asks for the time or makes a request.

const HOUR = 3600 * 1000;
const DAY = 24 * HOUR;
// A load follows a landing within this time.
const LOADED_WITHIN = HOUR / 2;

// What one run shows of its stream, as `Evidence` in landing/freshness.py: of two, the greater one counts.
const NONE = 0;
const COMPLETE = 1;
const REGULAR_OPEN = 2;
const COMPLETE_UNDATED = 3;
const REGULAR = 4;

function stateOf({proof, as_of: asOf, cadence}) {
  const isWhole = proof === "whole";
  const time = asOf ? Date.parse(asOf) : null;
  if (cadence && time !== null) return {evidence: isWhole ? REGULAR : REGULAR_OPEN, time, cadence};
  if (!isWhole) return {evidence: NONE, time: null, cadence: null};
  return {evidence: time === null ? COMPLETE_UNDATED : COMPLETE, time, cadence: null};
}

function judge({evidence, time, cadence}, now, lateAfter) {
  if (evidence === NONE || evidence === REGULAR_OPEN) return "never";
  if (evidence !== REGULAR) return "unknown";
  return now - time > lateAfter * cadence * 1000 ? "late" : "fresh";
}

/**
 * Return `{freshness, asOf, age, cadence}` of a stream: times in milliseconds, cadence in seconds.
 *
 * @param landings the extras of its landing events, in any order
 */
export function freshnessOf(landings, now, lateAfter) {
  let best = stateOf({});
  for (const state of landings.map(stateOf)) {
    const isNewer = state.evidence === best.evidence && state.time > best.time;
    if (state.evidence > best.evidence || isNewer) best = state;
  }
  const isKnown = best.evidence === COMPLETE || best.evidence === REGULAR;
  return {
    freshness: judge(best, now, lateAfter),
    asOf: isKnown ? best.time : null,
    age: isKnown ? now - best.time : null,
    cadence: best.cadence,
  };
}

/**
 * Return `{count, age}`: the landings that no load has seen, and the age of the oldest; null without a table.
 *
 * A load takes every manifest that is there when it starts. Of several tables, the one that is behind counts.
 */
export function backlogOf(landings, loads, now) {
  const started = new Map();
  for (const load of loads) {
    const start = load.time - (load.extra.seconds || 0) * 1000;
    started.set(load.uri, Math.max(start, started.get(load.uri) ?? start));
  }
  if (!started.size) return null;
  const left = landings.filter((landing) => landing.time > Math.min(...started.values()));
  return {count: left.length, age: left.length ? now - Math.min(...left.map(({time}) => time)) : 0};
}

/** Return `{count, hours, share}`: the requests of the last day, and their share of the rate limit. */
export function requestsOf(landings, now, perMinute) {
  const recent = landings.filter((landing) => now - landing.time < DAY);
  const count = recent.reduce((sum, landing) => sum + (landing.extra.requests || 0), 0);
  // Only the newest events are read, and earlier ones of this day may be missing.
  const isCut = recent.length === landings.length && landings.some((landing) => landing.hasMore);
  const period = isCut ? Math.max(HOUR, now - Math.min(...landings.map(({time}) => time))) : DAY;
  return {count, hours: period / HOUR, share: perMinute ? count / ((perMinute * period) / 60000) : null};
}

function nextRunOf(dagIds, dags) {
  const known = dagIds.map((id) => dags.get(id)).filter(Boolean);
  const active = known.filter((dag) => !dag.isPaused);
  const times = active.filter((dag) => dag.nextRun !== null).map((dag) => dag.nextRun);
  if (times.length) return {time: Math.min(...times)};
  if (known.length && !active.length) return {text: "paused"};
  return {text: known.length ? active[0].schedule || "no schedule" : "–"};
}

const newestFirst = (one, other) => other.time - one.time;
const unique = (values) => [...new Set(values)];

function group(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = JSON.stringify(keyOf(item));
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

/** Return a row for each stream of each tenant and data set. */
export function rowsOf(data, settings) {
  const {now, dags} = data;
  const loads = group(data.loads, ({extra}) => [extra.stream, extra.path]);
  const checks = group(data.checks, ({value}) => [value.tenant, value.stream]);
  const rows = [];
  for (const [key, events] of group(data.landings, ({extra}) => [extra.tenant, extra.stream, extra.path])) {
    // A first load ends with an event that proves it complete, and is no run of its own.
    const runs = events.filter((event) => event.extra.manifest).sort(newestFirst);
    if (!runs.length) continue;
    const [tenant, stream, path] = JSON.parse(key);
    const own = (loads.get(JSON.stringify([stream, path])) || []).sort(newestFirst);
    const [check] = (checks.get(JSON.stringify([tenant, stream])) || []).sort(newestFirst);
    rows.push({
      tenant, stream, path, last: runs[0], check: check || null,
      ...freshnessOf(events.map((event) => event.extra), now, settings.late_after),
      rows: runs.map((run) => run.extra.rows ?? 0).reverse(),
      changed: own.map((load) => load.extra.changed).filter(Number.isFinite).reverse(),
      requests: requestsOf(runs, now, settings.streams[stream]?.requests_per_minute),
      backlog: backlogOf(runs, own, now),
      next: nextRunOf(unique(runs.map((run) => run.dag).filter(Boolean)), dags),
    });
  }
  for (const asset of data.unused) {
    rows.push({
      tenant: "–", stream: asset.stream, path: asset.uri, last: null, check: null,
      ...freshnessOf([], now, settings.late_after), rows: [], changed: [],
      requests: {count: 0, hours: 24, share: null}, backlog: null, next: nextRunOf(asset.dags, dags),
    });
  }
  for (const row of rows) row.problems = PROBLEMS.filter((problem) => problem.is(row, settings));
  return rows;
}

// What needs attention, the most urgent first, and what to do about it.
const PROBLEMS = [
  {
    kind: "differs", is: (row) => row.check?.value.verdict === "differs", page: "runbook.html#a-hole",
    title: "The last check found differences",
    advice: "Run the syncs in the check's output “repairs”, load, and check again.",
  },
  {
    kind: "open", is: (row) => row.last?.extra.proof === "open",
    page: "runbook.html#a-stream-that-stays-open",
    title: "Rows may be missing: the last run is open",
    advice: "The next run reads the same period again. Act only if it stays open.",
  },
  {
    kind: "late", is: (row) => row.freshness === "late", page: "runbook.html#a-late-stream",
    title: "Late", advice: "Check that the DAG is not paused, and open its newest run.",
  },
  {
    kind: "never", is: (row) => row.freshness === "never", page: "runbook.html#a-late-stream",
    title: "Never complete", advice: "Run the sync. If it has run, read the log of the landing task.",
  },
  {
    kind: "backlog", is: (row) => row.backlog?.age > LOADED_WITHIN, page: "runbook.html#a-dropped-table",
    title: "Landed, but not in the table",
    advice: "Run the load: it takes every run that the table lacks. If it fails, its log says why.",
  },
  {
    kind: "busy", is: (row, {busy_share: limit}) => row.requests.share >= limit,
    page: "runbook.html#blocked-by-the-limit",
    title: "Close to the rate limit",
    advice: "Run the sync less often, or move other programs to other hours.",
  },
];

/** Return what the banner lists: `{kind, title, advice, page, items}`, the most urgent first. */
export function noticesOf(rows, failed) {
  const notices = PROBLEMS.map((problem) => ({
    ...problem, items: rows.filter((row) => row.problems.includes(problem)).map((row) => ({row})),
  }));
  const runs = {
    kind: "failed", page: "troubleshooting.html", title: "The last run failed",
    advice: "Open the run, and read the log of the failed task: the error says what to do.",
    items: failed.map((run) => ({run})),
  };
  return [runs, ...notices].filter((notice) => notice.items.length);
}
