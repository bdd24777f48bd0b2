// The status page: reads each minute while it is visible, and draws.

import {ApiError, Reader} from "./api.js";
import {rowsOf, noticesOf} from "./judge.js";
import {element, followTheme, keepFocus, link} from "./dom.js";
import {count, counted, utc} from "./format.js";
import {drawTable} from "./table.js";

const A_MINUTE = 60 * 1000;
const MAX_NAMED = 12;

const base = new URL("../", location.href);
const dag = new URLSearchParams(location.search).get("dag");
const at = (id) => document.getElementById(id);

const view = {rows: [], sort: {by: "stream", descending: false}, readAt: 0, isReading: false};

function runLink(id, run, text) {
  const parts = run ? ["dags", id, "runs", run] : ["dags", id];
  return link(text, new URL(parts.map(encodeURIComponent).join("/"), base).href);
}

function nameOf(item) {
  if (item.run) return runLink(item.run.dag, item.run.run, item.run.dag);
  const {row} = item;
  const name = view.hasTenants ? `${row.stream} of ${row.tenant}` : row.stream;
  return row.last?.dag ? runLink(row.last.dag, row.last.run, name) : name;
}

function drawNotice(notice, docs) {
  const named = notice.items.slice(0, MAX_NAMED).flatMap((item, index) => [index ? ", " : "", nameOf(item)]);
  const more = notice.items.length - MAX_NAMED;
  const number = counted(notice.items.length, notice.kind === "failed" ? "DAG" : "stream");
  const attributes = {isNew: true, "aria-label": `What to do: ${notice.title}`};
  return element(
    "div", {class: `notice ${notice.kind}`},
    element("h2", {}, `${notice.title} (${number}): `),
    element("p", {class: "items"}, named, more > 0 ? ` and ${more} more` : ""),
    element("p", {class: "advice"}, notice.advice, " ",
      link("What to do", new URL(notice.page, docs).href, attributes)),
  );
}

function drawFigures(rows) {
  const share = (some, of) => `${count(some.length)} of ${count(of.length)}`;
  const landed = rows.filter((row) => row.last);
  const checked = rows.filter((row) => row.check);
  const same = checked.filter((row) => row.check.value.verdict !== "differs");
  const figures = {
    streams: count(rows.length),
    fresh: share(rows.filter((row) => row.freshness === "fresh"), rows),
    complete: share(landed.filter((row) => row.last.extra.proof === "whole"), landed),
    "requests, last day": count(rows.reduce((sum, row) => sum + row.requests.count, 0)),
    "checks without differences": checked.length ? share(same, checked) : null,
  };
  const known = Object.entries(figures).filter(([, value]) => value !== null);
  const shown = known.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  at("figures").replaceChildren(...shown);
}

function drawStreams() {
  const wanted = at("find").value.trim().toLowerCase();
  const isWanted = (row) => `${row.stream} ${row.tenant} ${row.path}`.toLowerCase().includes(wanted);
  const rows = view.rows.filter((row) => isWanted(row) && (!at("problems").checked || row.problems.length));
  const isPart = rows.length < view.rows.length;
  at("shown").textContent = isPart ? `${rows.length} of ${view.rows.length} shown` : "";
  keepFocus(at("streams"), () => drawTable(at("streams"), rows, view, {runLink, onSort: drawStreams}));
}

function drawEmpty(settings) {
  const what = dag
    ? `The DAG ${dag} has landed nothing from Alvys yet, or you may not read it.`
    : "Nothing has landed from Alvys yet, or you may not read the DAGs that did.";
  at("message").replaceChildren(
    element("div", {class: "empty"},
      element("h2", {}, "No data yet"),
      element("p", {}, what, " Run a sync: each stream appears here after its first run. ",
        link("How to start", new URL("start.html", settings.docs).href, {isNew: true}))),
  );
}

function draw(data, settings) {
  view.rows = rowsOf(data, settings);
  view.now = data.now;
  view.hasTenants = new Set(view.rows.map((row) => row.tenant).filter((name) => name !== "–")).size > 1;
  view.hasPaths = new Set(view.rows.filter((row) => row.last).map((row) => row.path)).size > 1;
  const about = [`read at ${utc(data.now)} UTC`, "from Airflow's asset events", ...data.notes];
  at("about").textContent = (dag ? [`DAG ${dag}`, ...about] : about).join(" · ");
  at("message").replaceChildren();
  const isEmpty = !view.rows.length;
  if (isEmpty) drawEmpty(settings);
  at("filter").hidden = isEmpty;
  at("figures").hidden = isEmpty;
  const notices = noticesOf(view.rows, data.failed).map((notice) => drawNotice(notice, settings.docs));
  keepFocus(at("notices"), () => at("notices").replaceChildren(...notices));
  drawFigures(view.rows);
  if (isEmpty) at("streams").replaceChildren();
  else drawStreams();
  document.body.dataset.requests = data.requests;
}

const ADVICE = {
  401: "Your session has ended: log in to Airflow again.",
  403: "You may not read Airflow's assets or DAGs: ask an administrator for these rights.",
};

async function refresh(reader, settings) {
  if (view.isReading || document.hidden || Date.now() - view.readAt < A_MINUTE) return;
  view.isReading = true;
  view.readAt = Date.now();
  try {
    draw(await reader.read(view.readAt), settings);
    document.body.dataset.state = "ready";
  } catch (error) {
    // What was read before stays visible.
    showError(error);
  } finally {
    view.isReading = false;
  }
}

function showError(error) {
  const advice = ADVICE[error.status] || "The next try is in a minute.";
  at("message").replaceChildren(
    element("div", {class: "notice failed", role: "alert"},
      element("h2", {}, "Airflow's API could not be read. "),
      element("p", {}, `${error.message}. ${advice}`)),
  );
  if (!view.rows.length) at("about").textContent = "";
  document.body.dataset.state = "failed";
}

async function start() {
  followTheme();
  const answer = await fetch("settings.json", {credentials: "same-origin"});
  if (!answer.ok) throw new ApiError(answer.status, "settings.json");
  const settings = await answer.json();
  const reader = new Reader(base, settings.streams, dag);
  at("filter").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["find", "problems"]) at(id).addEventListener("input", drawStreams);
  const again = () => refresh(reader, settings);
  document.addEventListener("visibilitychange", again);
  setInterval(again, A_MINUTE / 4);
  await again();
}

start().catch(showError);
