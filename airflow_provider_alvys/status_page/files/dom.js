// Elements. Text from outside is only ever set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const BARS = 30;
const BAR = 4;
const HEIGHT = 22;

/** Return an element with attributes and children; `null` and `undefined` are left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return a name that may be broken after its underscores. */
export function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part, index) => (index ? [element("wbr"), part] : [part]));
}

function drawing(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Return a chart of the last values, with a text that says the same. */
export function chart(values, label) {
  const shown = values.slice(-BARS);
  const width = BARS * (BAR + 1);
  const text = `${label}, the last ${shown.length}, oldest first: ${shown.join(", ")}`;
  const size = {width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`};
  const svg = drawing("svg", {...size, role: "img", "aria-label": text});
  const title = drawing("title", {});
  title.textContent = text;
  const highest = Math.max(1, ...shown);
  const bars = shown.map((value, index) => {
    const height = value ? Math.max(2, (value / highest) * HEIGHT) : 1;
    const place = {x: index * (BAR + 1), y: HEIGHT - height, width: BAR, height};
    return drawing("rect", {...place, class: value ? "some" : "none"});
  });
  svg.append(title, ...bars);
  return svg;
}

/** Draw again, and leave the focus on the link or button where it was. */
export function keepFocus(container, draw) {
  const controls = () => [...container.querySelectorAll("a, button")];
  const index = controls().indexOf(document.activeElement);
  draw();
  if (index >= 0) controls()[index]?.focus();
}

/**
 * Return a link that opens around this page.
 *
 * Airflow shows the page in a frame that may neither navigate its parent nor open windows. The parent may.
 */
export function link(text, url, {isNew = false, ...attributes} = {}) {
  const made = element("a", {href: url, ...attributes}, breakable(text));
  made.addEventListener("click", (event) => {
    event.preventDefault();
    const outer = window.parent.document.createElement("a");
    outer.href = url;
    if (isNew) Object.assign(outer, {target: "_blank", rel: "noopener"});
    window.parent.document.body.append(outer);
    outer.click();
    outer.remove();
  });
  return made;
}

/** Use the theme of the page around this one. */
export function followTheme() {
  const outer = window.parent.document.documentElement;
  const {style, dataset} = document.documentElement;
  const apply = () => {
    const theme = ["dark", "light"].find((name) => outer.classList.contains(name));
    if (theme) dataset.theme = theme;
    requestAnimationFrame(() => {
      const found = [window.parent.document.body, outer].map((part) => getComputedStyle(part).backgroundColor);
      const background = found.find((color) => color !== "rgba(0, 0, 0, 0)");
      if (background) style.setProperty("--page", background);
    });
  };
  if (outer === document.documentElement) return;
  apply();
  new MutationObserver(apply).observe(outer, {attributes: true, attributeFilter: ["class"]});
}
