// The card on Airflow's home page. React is the one of the page around it.

import {Api, keepOwn, readAssets, readDags, readFailed} from "./api.js";
import {counted} from "./format.js";

const {createElement: h, useEffect, useState} = globalThis.React;
const NAME = "Alvys status";

/** Return the text of the card; null if there is nothing to say. */
async function read() {
  const answer = await fetch(new URL("settings.json", import.meta.url), {credentials: "same-origin"});
  if (!answer.ok) return null;
  const settings = await answer.json();
  const api = new Api(document.baseURI);
  const reads = [readAssets(api, settings.streams), readDags(api), readFailed(api)];
  const [{assets}, {dags}, {failing}] = await Promise.all(reads);
  const readable = assets.filter((asset) => !asset.isTable && asset.dags.some((id) => dags.has(id)));
  const own = await keepOwn(api, readable);
  if (!own.length) return null;
  const failed = failing.filter((id) => dags.has(id) && own.some((asset) => asset.dags.includes(id)));
  const isQuiet = ({stream, lastTime}) => {
    const {cadence} = settings.streams[stream];
    return !lastTime || (cadence && Date.now() - lastTime > settings.late_after * cadence * 1000);
  };
  const quiet = own.filter(isQuiet);
  const parts = [
    counted(own.length, "stream"),
    quiet.length ? `${counted(quiet.length, "stream")} not landed in time` : "all landed in time",
    failed.length ? `failed: ${failed.join(", ")}` : null,
  ];
  return {text: parts.filter(Boolean).join(" · "), isGood: !quiet.length && !failed.length};
}

globalThis[NAME] = function AlvysCard() {
  const [card, setCard] = useState(null);
  useEffect(() => {
    // Without the rights to read, there is no card; the page says which are missing.
    read().then(setCard, (error) => console.warn("Alvys status:", error.message));
  }, []);
  if (!card) return null;
  const color = card.isGood ? "#2da44e" : "#d1242f";
  const style = {
    order: 1, display: "block", width: "100%", margin: "8px 0", padding: "10px 16px",
    border: "1px solid #8886", borderRadius: 8, borderLeft: `4px solid ${color}`,
  };
  const {href} = new URL("plugin/alvys", document.baseURI);
  return h("a", {href, style}, h("strong", null, "Alvys"), ` · ${card.text}`);
};
