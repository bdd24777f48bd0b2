// The table of streams.

import {breakable, chart, element} from "./dom.js";
import {cadence, count, counted, length, percent, utc} from "./format.js";

const FRESHNESS = {fresh: "ok", late: "bad", never: "bad", unknown: "quiet"};
const VERDICTS = {same: "ok", moving: "ok", differs: "bad", unknown: "quiet"};
const ORDER = ["never", "late", "unknown", "fresh"];

const line = (...children) => element("span", {}, ...children);
const small = (...children) => element("span", {class: "small"}, ...children);
const strong = (name) => element("span", {class: "name"}, breakable(name));
const pill = (text, kind, title) => element("span", {class: `pill ${kind}`, title}, text);
const time = (value) => element("time", {datetime: new Date(value).toISOString()}, utc(value));
const NONE = ["–"];

function copyButton(path, what) {
  const label = `Copy the path of the manifest of ${what}`;
  const attributes = {type: "button", class: "copy", title: path, "aria-label": label};
  const button = element("button", attributes, "Copy manifest");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(path);
      button.textContent = "Copied";
    } catch {
      // Browsers refuse it without https: then the path can be selected.
      button.replaceWith(element("code", {class: "path"}, path));
    }
  });
  return button;
}

function freshnessCell(row) {
  const age = row.age === null ? "" : ` ${length(row.age)} old`;
  return [
    line(pill(row.freshness, FRESHNESS[row.freshness]), age),
    row.asOf === null ? null : small("as of ", time(row.asOf)),
    row.cadence ? small(`every ${cadence(row.cadence)}`) : null,
  ];
}

function chartCell(values, label) {
  if (!values.length) return NONE;
  return [element("span", {class: "number"}, count(values.at(-1))), chart(values, label)];
}

function requestsCell({requests}) {
  const share = requests.share === null ? null : small(`${percent(requests.share)} of the limit`);
  return [line(`${count(requests.count)} in ${Math.round(requests.hours)} h`), share];
}

function waitedCell({last}) {
  if (!Number.isFinite(last?.extra.waited)) return NONE;
  return [line(length(last.extra.waited * 1000)), small(`of ${length((last.extra.seconds || 0) * 1000)}`)];
}

function proofCell({last}) {
  if (!last) return NONE;
  const {proof, attempt} = last.extra;
  return [pill(proof || "unknown", proof === "whole" ? "ok" : "bad"), small(`attempt ${attempt ?? "–"}`)];
}

function checkCell({check}, {runLink}) {
  if (!check) return NONE;
  const {verdict, differences, examples} = check.value;
  const text = differences ? counted(differences, "difference") : verdict;
  const shown = pill(text, VERDICTS[verdict] || "quiet", examples?.join("\n"));
  return [shown, small(runLink(check.dag, check.run, utc(check.time)))];
}

function nextCell({next}, now) {
  if (next.time === undefined) return [line(next.text)];
  const left = next.time - now;
  return [line(left > 0 ? `in ${length(left)}` : `${length(-left)} overdue`), small(time(next.time))];
}

function lastCell({last, tenant, stream}, {runLink}) {
  if (!last) return NONE;
  const run = last.run ? runLink(last.dag, last.run, `run ${utc(last.time)}`) : `at ${utc(last.time)}`;
  const copy = copyButton(last.extra.manifest, `${stream} of ${tenant}`);
  return [last.dag ? runLink(last.dag, null, last.dag) : null, small(run), copy];
}

/** The columns: a name, what a cell has, and what it is sorted by. */
function columnsOf(view, actions) {
  const all = [
    {
      id: "stream", name: "Stream", key: (row) => row.stream,
      cell: (row) => [strong(row.stream), view.hasPaths ? small(row.path) : null],
    },
    {id: "tenant", name: "Tenant", key: (row) => row.tenant, cell: (row) => [strong(row.tenant)]},
    {
      id: "freshness", name: "Freshness",
      key: (row) => ORDER.indexOf(row.freshness) - (row.age ?? 0) / Number.MAX_SAFE_INTEGER,
      cell: freshnessCell,
    },
    {
      id: "rows", name: "Rows", key: (row) => row.rows.at(-1) ?? -1, isLargestFirst: true,
      cell: (row) => chartCell(row.rows, "Rows of each run"),
    },
    {
      id: "changed", name: "Changed", key: (row) => row.changed.at(-1) ?? -1, isLargestFirst: true,
      title: "New or changed rows of each load into the table",
      cell: (row) => chartCell(row.changed, "Changed rows of each load"),
    },
    {
      id: "requests", name: "Requests", key: (row) => row.requests.count, isLargestFirst: true,
      cell: requestsCell,
    },
    {
      id: "waited", name: "Waited", key: (row) => row.last?.extra.waited ?? -1, isLargestFirst: true,
      title: "Waits of the last run for the rate limit", cell: waitedCell,
    },
    {id: "proof", name: "Proof", key: (row) => row.last?.extra.proof || "", cell: proofCell},
    {
      id: "backlog", name: "To load", key: (row) => row.backlog?.count ?? -1, isLargestFirst: true,
      title: "Runs that have landed and are not in the table",
      cell: (row) => (row.backlog ? [line(count(row.backlog.count))] : NONE),
    },
    {
      id: "check", name: "Last check", key: (row) => row.check?.value.differences ?? -1, isLargestFirst: true,
      cell: (row) => checkCell(row, actions),
    },
    {
      id: "next", name: "Next run", key: (row) => row.next.time ?? Infinity,
      cell: (row) => nextCell(row, view.now),
    },
    {
      id: "last", name: "Last run", key: (row) => row.last?.time ?? 0, isLargestFirst: true,
      cell: (row) => lastCell(row, actions),
    },
  ];
  return all.filter((column) => column.id !== "tenant" || view.hasTenants);
}

function compare(one, other) {
  if (typeof one === "string") return one.localeCompare(other);
  return one === other ? 0 : one - other;
}

function header(column, view, onSort) {
  const isSorted = view.sort.by === column.id;
  const button = element("button", {type: "button", title: column.title}, column.name);
  button.addEventListener("click", () => {
    const descending = isSorted ? !view.sort.descending : Boolean(column.isLargestFirst);
    view.sort = {by: column.id, descending};
    onSort();
  });
  const sort = isSorted ? (view.sort.descending ? "descending" : "ascending") : null;
  return element("th", {scope: "col", role: "columnheader", "aria-sort": sort}, button);
}

/** Draw the rows into a container. */
export function drawTable(container, rows, view, actions) {
  const columns = columnsOf(view, actions);
  const {key} = columns.find((column) => column.id === view.sort.by) || columns[0];
  const sign = view.sort.descending ? -1 : 1;
  const byName = (one, other) => compare(one.stream, other.stream) || compare(one.tenant, other.tenant);
  const sorted = [...rows].sort((one, other) => sign * compare(key(one), key(other)) || byName(one, other));
  // On a narrow screen the style sheet turns rows into cards: roles keep this a table for screen readers.
  const cell = (column, row) => {
    const attributes = {class: column.id, "data-label": column.name};
    return column.id === "stream"
      ? element("th", {...attributes, role: "rowheader", scope: "row"}, ...column.cell(row))
      : element("td", {...attributes, role: "cell"}, ...column.cell(row));
  };
  const lines = sorted.map((row) => {
    const names = {"data-stream": row.stream, "data-tenant": row.tenant};
    const attributes = {...names, role: "row", class: row.problems.length ? "attention" : null};
    return element("tr", attributes, columns.map((column) => cell(column, row)));
  });
  const headers = columns.map((column) => header(column, view, actions.onSort));
  const scroll = container.scrollLeft;
  container.replaceChildren(
    element("table", {role: "table"},
      element("caption", {class: "hidden"}, "Streams"),
      element("thead", {role: "rowgroup"}, element("tr", {role: "row"}, headers)),
      element("tbody", {role: "rowgroup"}, lines)));
  container.scrollLeft = scroll;
}
