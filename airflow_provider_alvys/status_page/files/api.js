// Reads Airflow's own API with the user's cookie. The number of requests of a refresh is bounded.

import {counted} from "./format.js";

const PAGE = 100;
// Pages of the list of assets, of the list of DAGs, and of the list of checks.
const MAX_PAGES = {assets: 10, dags: 10, checks: 3};
const MAX_ASSETS = 300;
const MAX_CHECKS = 100;
// Folders that the card looks into.
const MAX_FOLDERS = 20;
const MAX_FAILED = 20;
const EVENTS = 50;
// Pages of older events, of one asset and of all, where no tenant's newest events show a complete sync.
const OLDER = 4;
const MAX_OLDER = 40;
const AT_ONCE = 6;
const CHECK_DAYS = 35;
export const MAX_REQUESTS =
  MAX_PAGES.assets + MAX_ASSETS + MAX_OLDER + MAX_PAGES.dags + MAX_PAGES.checks + MAX_CHECKS + 1 + MAX_FAILED;

const TIMEOUT = 60_000;

const TABLES = "alvys-table://";

const textOf = (value) => (typeof value === "string" ? value : null);
const numberOf = (value) => (Number.isFinite(value) && value >= 0 ? value : null);
const timeOf = (value) => (Number.isFinite(Date.parse(textOf(value))) ? value : null);

/** Return the extra of an event. Others write events, too: a value of another type counts as missing. */
function extraOf(given) {
  const extra = given || {};
  const numbers = ["rows", "changed", "requests", "waited", "seconds", "attempt", "cadence"];
  return {
    ...Object.fromEntries(numbers.map((name) => [name, numberOf(extra[name])])),
    ...Object.fromEntries(["stream", "manifest", "proof"].map((name) => [name, textOf(extra[name])])),
    // As in assets, without the id of the storage's connection: a load may use another one.
    path: textOf(extra.path)?.replace(/(:\/\/)[^/]*@/, "$1") ?? null,
    as_of: timeOf(extra.as_of),
    tenant: textOf(extra.tenant) ?? "–",
    manifests: Array.isArray(extra.manifests),
  };
}

/** Return the value of a check; null if it is none. */
function checkOf(given) {
  const value = typeof given === "string" ? JSON.parse(given) : given;
  if (!textOf(value?.stream)) return null;
  return {
    stream: value.stream,
    tenant: textOf(value.tenant) ?? "–",
    verdict: textOf(value.verdict) ?? "unknown",
    differences: numberOf(value.differences),
    examples: Array.isArray(value.examples) ? value.examples : [],
  };
}

/** Return the last part of a URI, which is the name of a stream. */
function lastPart(uri) {
  const part = uri.replace(/\/$/, "").split("/").pop();
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// The last task of a first load lists the manifests of all its windows.
const isLanding = ({isTable, extra}) => !isTable && extra.stream && (extra.manifest || extra.manifests);

export class ApiError extends Error {
  constructor(status, path) {
    super(`Airflow answered ${status} to ${path}`);
    this.status = status;
  }
}

/** Makes requests, at most `AT_ONCE` at a time, and counts them. */
export class Api {
  constructor(base) {
    this.base = new URL("api/v2/", base);
    this.requests = 0;
    this.free = AT_ONCE;
    this.waiting = [];
  }

  async get(path, parameters = {}) {
    if (this.free) this.free -= 1;
    else await new Promise((resolve) => this.waiting.push(resolve));
    try {
      this.requests += 1;
      const url = new URL(path, this.base);
      url.search = new URLSearchParams(parameters);
      const answer = await fetch(url, {
        credentials: "same-origin",
        headers: {Accept: "application/json"},
        signal: AbortSignal.timeout(TIMEOUT),
      });
      if (!answer.ok) throw new ApiError(answer.status, url.pathname);
      return await answer.json();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }

  /** Return `{items, isComplete}`: the items of a list, at most those of `maxPages` pages. */
  async list(path, field, maxPages, parameters = {}) {
    const items = [];
    for (let page = 0; page < maxPages; page += 1) {
      const answer = await this.get(path, {...parameters, limit: PAGE, offset: items.length});
      items.push(...answer[field]);
      if (!answer[field].length || items.length >= answer.total_entries) return {items, isComplete: true};
    }
    return {items, isComplete: false};
  }
}

/** Return the assets that streams and tables have, the one with the newest event first. */
export async function readAssets(api, streams) {
  const {items, isComplete} = await api.list("assets", "assets", MAX_PAGES.assets, {order_by: "id"});
  const assets = items.map((asset) => ({
    id: asset.id,
    uri: asset.uri,
    isTable: asset.uri.startsWith(TABLES),
    stream: lastPart(asset.uri),
    dags: [...new Set(asset.producing_tasks.map((task) => task.dag_id))],
    readers: asset.scheduled_dags.map((dag) => dag.dag_id),
    lastEvent: asset.last_asset_event?.id ?? null,
    lastTime: Date.parse(asset.last_asset_event?.timestamp) || 0,
  }));
  const known = assets.filter((asset) => asset.isTable || Object.hasOwn(streams, asset.stream));
  known.sort((one, other) => other.lastTime - one.lastTime);
  return {assets: known, isComplete};
}

/** Return `{dags, isComplete}`: the DAGs that the user may read, by id. */
export async function readDags(api) {
  const {items, isComplete} = await api.list("dags", "dags", MAX_PAGES.dags, {order_by: "dag_id"});
  const dags = items.map((dag) => [
    dag.dag_id,
    {
      isPaused: dag.is_paused,
      nextRun: dag.next_dagrun_run_after ? Date.parse(dag.next_dagrun_run_after) : null,
      schedule: dag.timetable_summary,
    },
  ]);
  return {dags: new Map(dags), isComplete};
}

/** Return the last events of an asset, the newest first; or some that are older than the first `offset`. */
async function readEvents(api, asset, offset = 0) {
  const parameters = {asset_id: asset.id, order_by: "-timestamp", limit: offset ? PAGE : EVENTS, offset};
  const answer = await api.get("assets/events", parameters);
  return answer.asset_events.map((event) => ({
    uri: asset.uri,
    isTable: asset.isTable,
    time: Date.parse(event.timestamp),
    dag: event.source_dag_id,
    run: event.source_run_id,
    hasMore: answer.total_entries > offset + answer.asset_events.length,
    extra: extraOf(event.extra),
  }));
}

/** Return those assets in whose folder streams have landed, or nothing was ever written. */
export async function keepOwn(api, assets) {
  const folderOf = ({uri}) => uri.replace(/[^/]*\/?$/, "");
  // The one with the newest event is the first.
  const newest = new Map([...assets].reverse().map((asset) => [folderOf(asset), asset]));
  const isOwn = async ([folder, asset]) =>
    [folder, asset.lastEvent === null || (await readEvents(api, asset)).some(isLanding)];
  const folders = new Map(await Promise.all([...newest].slice(-MAX_FOLDERS).map(isOwn)));
  return assets.filter((asset) => folders.get(folderOf(asset)));
}

/** Return `{failing, isComplete}`: the ids of the DAGs whose last run failed. */
export async function readFailed(api) {
  const {items, isComplete} = await api.list("dags", "dags", 1, {
    last_dag_run_state: "failed", order_by: "dag_id",
  });
  return {failing: items.map((dag) => dag.dag_id), isComplete};
}

const ofDag = (assets, dag) => {
  if (!dag) return assets;
  const landed = assets.filter((asset) => asset.dags.includes(dag) || !asset.dags.length);
  const dags = new Set([dag, ...landed.flatMap((asset) => asset.readers)]);
  return assets.filter((asset) => !asset.dags.length || asset.dags.some((id) => dags.has(id)));
};

/** Reads everything that the page shows, and keeps what cannot have changed. */
export class Reader {
  /** @param dag show only this DAG; null means all */
  constructor(base, streams, dag) {
    this.api = new Api(base);
    this.streams = streams;
    this.dag = dag;
    this.events = new Map();
    this.checks = new Map();
  }

  async read(now) {
    this.api.requests = 0;
    this.older = 0;
    const notes = [];
    const [{assets, isComplete}, found, {failing, isComplete: hasAllFailing}, checks] = await Promise.all([
      readAssets(this.api, this.streams),
      readDags(this.api),
      readFailed(this.api),
      this.readChecks(now, notes).catch((error) => {
        if (error.status !== 403) throw error;
        notes.push("You may not read XComs, so the last checks are not shown.");
        return [];
      }),
    ]);
    const {dags} = found;
    // Airflow before 3.3 shows events to all who may read assets: those of other DAGs are left out here.
    const mayRead = (dag) => dag === null || dags.has(dag);
    const wanted = ofDag(assets, this.dag).filter(({dags: ids}) => !ids.length || ids.some(mayRead));
    const shown = wanted.length > MAX_ASSETS ? wanted.slice(0, MAX_ASSETS) : wanted;
    const limits = [
      [isComplete, `Airflow has more than ${MAX_PAGES.assets * PAGE} assets; later ones are not shown.`],
      [found.isComplete, `Airflow has more than ${MAX_PAGES.dags * PAGE} DAGs; later ones are not shown.`],
      [hasAllFailing, `More than ${PAGE} DAGs have failed; later ones are not shown.`],
      [shown === wanted, `Only the ${MAX_ASSETS} assets with the newest events are shown.`],
    ];
    const events = await Promise.all(shown.map((asset) => this.readEvents(asset)));
    const cut = shown.filter((asset, index) => this.lacksComplete(asset, events[index])).length;
    limits.push([!cut, `Of ${counted(cut, "asset")} only the newest events are read, and no complete sync.`]);
    notes.push(...limits.filter(([isMet]) => !isMet).map(([, note]) => note));
    // Assets of others may end with the name of a stream, too: nothing has landed there.
    const own = shown.filter(({isTable}, index) =>
      isTable || !events[index].length || events[index].some(isLanding));
    const readable = events.flat().filter((event) => mayRead(event.dag));
    const landed = readable.filter(isLanding);
    const landings = landed.filter((event) => !this.dag || event.dag === this.dag);
    const loads = readable.filter((event) => event.isTable && event.extra.stream);
    const writers = new Set([
      ...[...landings, ...checks].map((item) => item.dag), ...own.flatMap((asset) => asset.dags),
    ]);
    const failed = failing.filter((id) => writers.has(id) && (!this.dag || id === this.dag));
    const used = new Set(landed.map((event) => event.uri));
    return {
      now, dags, landings, loads, checks, notes,
      failed: await Promise.all(failed.slice(0, MAX_FAILED).map((id) => this.readFailedRun(id))),
      unused: own.filter(({isTable, uri, dags: ids}) => !isTable && !used.has(uri) && ids.length),
      requests: this.api.requests,
    };
  }

  async readEvents(asset) {
    if (asset.lastEvent === null) return [];
    const known = this.events.get(asset.id);
    if (known?.last === asset.lastEvent) return known.events;
    const events = await readEvents(this.api, asset);
    for (let left = OLDER; left && this.older < MAX_OLDER && this.lacksComplete(asset, events); left -= 1) {
      this.older += 1;
      events.push(...await readEvents(this.api, asset, events.length));
    }
    for (const event of events) event.hasMore = events.at(-1).hasMore;
    this.events.set(asset.id, {last: asset.lastEvent, events});
    return events;
  }

  /** Return whether only older events can show the last complete sync of a tenant. */
  lacksComplete(asset, events) {
    if (!events.at(-1)?.hasMore) return false;
    const hasCadence = Boolean(this.streams[asset.stream]?.cadence);
    const isComplete = ({extra}) => extra.proof === "whole" && (extra.cadence || !hasCadence);
    const landed = events.filter(isLanding);
    const complete = new Set(landed.filter(isComplete).map(({extra}) => extra.tenant));
    return landed.some(({extra}) => !complete.has(extra.tenant));
  }

  /** Return the newest result of each task that compares with Alvys. */
  async readChecks(now, notes) {
    const since = new Date(now - CHECK_DAYS * 24 * 3600 * 1000).toISOString();
    const parameters = {xcom_key: "alvys_check", run_after_gte: since, order_by: "-timestamp"};
    const path = "dags/~/dagRuns/~/taskInstances/~/xcomEntries";
    const {items} = await this.api.list(path, "xcom_entries", MAX_PAGES.checks, parameters);
    const newest = new Map();
    for (const entry of items.sort((one, other) => Date.parse(other.timestamp) - Date.parse(one.timestamp))) {
      const key = JSON.stringify([entry.dag_id, entry.task_id, entry.map_index]);
      if (!newest.has(key)) newest.set(key, entry);
    }
    const entries = [...newest.values()].slice(0, MAX_CHECKS);
    const checks = await Promise.all(entries.map((entry) => this.readCheck(entry).catch((error) => {
      if (error.status === 401 || error.status === 403) throw error;
      return {value: null};
    })));
    const found = checks.filter(({value}) => value);
    if (found.length < checks.length) {
      notes.push(`${checks.length - found.length} of ${checks.length} checks could not be read.`);
    }
    return found;
  }

  async readCheck(entry) {
    const parts = [entry.dag_id, entry.run_id, entry.task_id].map(encodeURIComponent);
    const key = JSON.stringify([...parts, entry.map_index, entry.timestamp]);
    if (!this.checks.has(key)) {
      const path = `dags/${parts[0]}/dagRuns/${parts[1]}/taskInstances/${parts[2]}/xcomEntries/alvys_check`;
      const {value} = await this.api.get(path, {map_index: entry.map_index});
      const time = Date.parse(entry.timestamp);
      this.checks.set(key, {
        dag: entry.dag_id,
        run: entry.run_id,
        time,
        value: checkOf(value),
      });
    }
    return this.checks.get(key);
  }

  async readFailedRun(dag) {
    const path = `dags/${encodeURIComponent(dag)}/dagRuns`;
    const {dag_runs: runs} = await this.api.get(path, {state: "failed", limit: 1, order_by: "-run_after"});
    return {dag, run: runs[0]?.dag_run_id ?? null, time: runs.length ? Date.parse(runs[0].run_after) : null};
  }
}
