// Texts of numbers and times.

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** Return a number of milliseconds as a length of time, such as `5 min`. */
export function length(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  // Two hours are better said as 120 min, and two days as 48 h.
  const [unit, size] = UNITS.find(([, size]) => seconds >= (size === 1 ? 0 : 2 * size)) || UNITS[3];
  const value = seconds / size;
  if (value > 0 && value < 0.1) return "< 0.1 s";
  return `${value < 10 && unit === "s" && value % 1 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** Return the time between two syncs, such as `1 h`. */
export function cadence(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) || UNITS[3];
  return `${Math.round(seconds / size)} ${unit}`;
}

/** Return a time in UTC, such as `2026-11-30 21:05`. */
export const utc = (time) => new Date(time).toISOString().slice(0, 16).replace("T", " ");

export const count = (number) => number.toLocaleString("en-US");

/** Return a share in percent. */
export function percent(share) {
  if (!share) return "0 %";
  return share < 0.001 ? "< 0.1 %" : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** Return `1 stream`, or `2 streams`. */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
