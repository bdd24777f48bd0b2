// The table of streams.

import {chart, element} from "./dom.js";
import {cadence, count, counted, length, percent, utc} from "./format.js";

const FRESHNESS = {fresh: "ok", late: "bad", never: "bad", unknown: "quiet"};
const VERDICTS = {same: "ok", moving: "ok", differs: "bad", unknown: "quiet"};
const ORDER = ["never", "late", "unknown", "fresh"];

const pill = (text, kind) => element("span", {class: `pill ${kind}`}, text);
const small = (...children) => element("span", {class: "small"}, ...children);
const none = () => element("span", {class: "small"}, "–");
const time = (value) => element("time", {datetime: new Date(value).toISOString()}, utc(value));

function copyButton(text, what) {
  const button = element("button", {type: "button", class: "copy", title: text, "aria-label": `Copy the path of the manifest of ${what}`}, "Copy manifest");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Browsers refuse it without https: then the path can be selected.
      button.replaceWith(element("code", {class: "path"}, text));
    }
  });
  return button;
}

function checkCell({check}, {runLink}) {
  if (!check) return [none()];
  const {value} = check;
  const text = value.differences ? counted(value.differences, "difference") : value.verdict;
  const shown = pill(text, VERDICTS[value.verdict] || "quiet");
  if (value.examples?.length) shown.title = value.examples.join("\n");
  return [shown, element("span", {class: "small"}, runLink(check.dag, check.run, utc(check.time)))];
}

function nextCell(row, now) {
  if (row.next.time === undefined) return [element("span", {}, row.next.text)];
  const left = row.next.time - now;
  return [element("span", {}, left > 0 ? `in ${length(left)}` : `${length(-left)} overdue`), small(time(row.next.time))];
}

function lastCell({last, tenant, stream}, {runLink}) {
  if (!last) return [none()];
  const cells = [];
  if (last.dag) cells.push(runLink(last.dag, null, last.dag));
  const run = last.run ? runLink(last.dag, last.run, `run ${utc(last.time)}`) : `at ${utc(last.time)}`;
  return [...cells, element("span", {class: "small"}, run), copyButton(last.extra.manifest, `${stream} of ${tenant}`)];
}

/** The columns: a name, what a cell has, and what it is sorted by. */
function columns(view) {
  const {now} = view;
  const all = [
    {
      id: "stream", name: "Stream", key: (row) => row.stream, isText: true,
      cell: (row) => [element("span", {class: "name"}, row.stream), view.hasPaths ? small(row.path) : null],
    },
    {id: "tenant", name: "Tenant", key: (row) => row.tenant, isText: true, cell: (row) => [element("span", {class: "name"}, row.tenant)]},
    {
      id: "freshness", name: "Freshness", key: (row) => [ORDER.indexOf(row.freshness), -(row.age ?? 0)],
      cell: (row) => [
        element("span", {}, pill(row.freshness, FRESHNESS[row.freshness]), row.age === null ? "" : ` ${length(row.age)} old`),
        row.asOf === null ? null : small("as of ", time(row.asOf)),
        row.cadence ? small(`every ${cadence(row.cadence)}`) : null,
      ],
    },
    {
      id: "rows", name: "Rows", key: (row) => row.rows.at(-1) ?? -1,
      cell: (row) => row.last ? [element("span", {class: "number"}, count(row.rows.at(-1))), chart(row.rows, "Rows of each run")] : [none()],
    },
    {
      id: "changed", name: "Changed", key: (row) => row.changed.at(-1) ?? -1, title: "New or changed rows of each load into the table",
      cell: (row) => row.changed.length
        ? [element("span", {class: "number"}, count(row.changed.at(-1))), chart(row.changed, "Changed rows of each load")] : [none()],
    },
    {
      id: "requests", name: "Requests", key: (row) => row.requests.count,
      cell: (row) => [
        element("span", {}, `${count(row.requests.count)} in ${Math.round(row.requests.hours)} h`),
        row.requests.share === null ? null : small(`${percent(row.requests.share)} of the limit`),
      ],
    },
    {
      id: "waited", name: "Waited", key: (row) => row.last?.extra.waited ?? -1, title: "Waits of the last run for the rate limit",
      cell: (row) => Number.isFinite(row.last?.extra.waited)
        ? [element("span", {}, length(row.last.extra.waited * 1000)), small(`of ${length((row.last.extra.seconds || 0) * 1000)}`)] : [none()],
    },
    {
      id: "proof", name: "Proof", key: (row) => row.last?.extra.proof || "", isText: true,
      cell: (row) => row.last
        ? [pill(row.last.extra.proof || "unknown", row.last.extra.proof === "whole" ? "ok" : "bad"), small(`attempt ${row.last.extra.attempt ?? "–"}`)] : [none()],
    },
    {
      id: "backlog", name: "To load", key: (row) => row.backlog?.count ?? -1, title: "Runs that have landed and are not in the table",
      cell: (row) => (row.backlog ? [element("span", {}, count(row.backlog.count))] : [none()]),
    },
    {id: "check", name: "Last check", key: (row) => row.check?.value.differences ?? -1, cell: checkCell},
    {id: "next", name: "Next run", key: (row) => row.next.time ?? Infinity, cell: (row) => nextCell(row, now)},
    {id: "last", name: "Last run", key: (row) => row.last?.time ?? 0, cell: lastCell},
  ];
  return all.filter((column) => column.id !== "tenant" || view.hasTenants);
}

function compare(one, other) {
  if (Array.isArray(one)) return one[0] - other[0] || one[1] - other[1];
  return typeof one === "string" ? one.localeCompare(other) : one - other;
}

function header(column, view, onSort) {
  const isSorted = view.sort.by === column.id;
  const direction = view.sort.descending ? "descending" : "ascending";
  const button = element("button", {type: "button", "data-sort": column.id, title: column.title}, column.name);
  button.addEventListener("click", () => {
    // Numbers start with the largest.
    view.sort = {by: column.id, descending: isSorted ? !view.sort.descending : !column.isText && column.id !== "freshness"};
    onSort();
    document.querySelector(`[data-sort="${column.id}"]`).focus();
  });
  return element("th", {scope: "col", role: "columnheader", "aria-sort": isSorted ? direction : null}, button);
}

/** Draw the rows into a container. */
export function drawTable(container, rows, view, actions) {
  const shown = columns(view);
  const {key} = shown.find((column) => column.id === view.sort.by) || shown[0];
  const sign = view.sort.descending ? -1 : 1;
  const names = (one, other) => one.stream.localeCompare(other.stream) || one.tenant.localeCompare(other.tenant);
  const sorted = [...rows].sort((one, other) => sign * compare(key(one), key(other)) || names(one, other));
  // On a narrow screen the style sheet turns rows into cards: the roles keep this a table for screen readers.
  const lines = sorted.map((row) =>
    element("tr", {role: "row", "data-stream": row.stream, "data-tenant": row.tenant, class: row.problems.length ? "attention" : null},
      shown.map((column, index) =>
        element(index ? "td" : "th", {role: index ? "cell" : "rowheader", scope: index ? null : "row", class: column.id, "data-label": column.name},
          ...column.cell(row, actions)))));
  const scroll = container.scrollLeft;
  container.replaceChildren(
    element("table", {role: "table"},
      element("caption", {class: "hidden"}, "Streams"),
      element("thead", {role: "rowgroup"}, element("tr", {role: "row"}, shown.map((column) => header(column, view, actions.onSort)))),
      element("tbody", {role: "rowgroup"}, lines)));
  container.scrollLeft = scroll;
}
