// Reads Airflow's own API with the user's cookie. The number of requests of a refresh is bounded.

const PAGE = 100;
// Pages of the list of assets, of the list of DAGs, and of the list of checks.
const MAX_PAGES = {assets: 10, dags: 10, checks: 3};
const MAX_ASSETS = 300;
const MAX_CHECKS = 100;
const MAX_FAILED = 20;
const EVENTS = 50;
const AT_ONCE = 6;
const CHECK_DAYS = 35;
export const MAX_REQUESTS =
  MAX_PAGES.assets + MAX_ASSETS + MAX_PAGES.dags + MAX_PAGES.checks + MAX_CHECKS + 1 + MAX_FAILED;

const TABLES = "alvys-table://";

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
      const answer = await fetch(url, {credentials: "same-origin", headers: {Accept: "application/json"}});
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
    stream: decodeURIComponent(asset.uri.replace(/\/$/, "").split("/").pop()),
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

/** Return the ids of the DAGs whose last run failed. */
export async function readFailed(api) {
  const {dags} = await api.get("dags", {last_dag_run_state: "failed", limit: PAGE, order_by: "dag_id"});
  return new Set(dags.map((dag) => dag.dag_id));
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
    const notes = [];
    const [{assets, isComplete}, found, failing, checks] = await Promise.all([
      readAssets(this.api, this.streams),
      readDags(this.api),
      readFailed(this.api),
      this.readChecks(now).catch((error) => {
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
      [shown === wanted, `Only the ${MAX_ASSETS} assets with the newest events are shown.`],
    ];
    notes.push(...limits.filter(([isMet]) => !isMet).map(([, note]) => note));
    const events = (await Promise.all(shown.map((asset) => this.readEvents(asset)))).flat();
    const readable = events.filter((event) => mayRead(event.dag));
    // The last task of a first load lists the manifests of all its windows.
    const hasLanded = ({isTable, extra}) => !isTable && extra.stream && (extra.manifest || extra.manifests);
    const landings = readable.filter((event) => hasLanded(event) && (!this.dag || event.dag === this.dag));
    const loads = readable.filter((event) => event.isTable && event.extra.stream);
    const own = new Set([
      ...[...landings, ...checks].map((item) => item.dag), ...shown.flatMap((asset) => asset.dags),
    ]);
    const failed = [...failing].filter((id) => own.has(id) && (!this.dag || id === this.dag));
    return {
      now, dags, landings, loads, checks, notes,
      failed: await Promise.all(failed.slice(0, MAX_FAILED).map((id) => this.readFailedRun(id))),
      unused: shown.filter(({isTable, lastEvent, dags: ids}) => !isTable && lastEvent === null && ids.length),
      requests: this.api.requests,
    };
  }

  async readEvents(asset) {
    if (asset.lastEvent === null) return [];
    const known = this.events.get(asset.id);
    if (known?.last === asset.lastEvent) return known.events;
    const parameters = {asset_id: asset.id, order_by: "-timestamp", limit: EVENTS};
    const answer = await this.api.get("assets/events", parameters);
    const events = answer.asset_events.map((event) => ({
      uri: asset.uri,
      isTable: asset.isTable,
      time: Date.parse(event.timestamp),
      dag: event.source_dag_id,
      run: event.source_run_id,
      hasMore: answer.total_entries > answer.asset_events.length,
      extra: event.extra || {},
    }));
    this.events.set(asset.id, {last: asset.lastEvent, events});
    return events;
  }

  /** Return the newest result of each task that compares with Alvys. */
  async readChecks(now) {
    const since = new Date(now - CHECK_DAYS * 24 * 3600 * 1000).toISOString();
    const parameters = {xcom_key: "alvys_check", run_after_gte: since, order_by: "-timestamp"};
    const path = "dags/~/dagRuns/~/taskInstances/~/xcomEntries";
    const {items} = await this.api.list(path, "xcom_entries", MAX_PAGES.checks, parameters);
    const newest = new Map();
    for (const entry of items.sort((one, other) => Date.parse(other.timestamp) - Date.parse(one.timestamp))) {
      const key = JSON.stringify([entry.dag_id, entry.task_id, entry.map_index]);
      if (!newest.has(key)) newest.set(key, entry);
    }
    return Promise.all([...newest.values()].slice(0, MAX_CHECKS).map((entry) => this.readCheck(entry)));
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
        value: typeof value === "string" ? JSON.parse(value) : value,
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
