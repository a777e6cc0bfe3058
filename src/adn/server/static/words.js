// Numbers and states as people read them.

export const STATES = {
  queued: "Waiting",
  running: "Running",
  done: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

export const final = (state) => ["done", "failed", "cancelled"].includes(state);

/** A volume with a suitable number of digits, as in the report. */
export const volume = (ml) => (ml > 0 && ml < 1 ? `${ml.toFixed(2)} mL` : `${ml.toFixed(1)} mL`);

export const signed = (value, digits) => value.toFixed(digits).replace("-", "−");

export function side(results) {
  const words = {
    left: "left hemisphere",
    right: "right hemisphere",
    both: "both hemispheres",
    none: "no infarct marked",
  };
  return words[results.side] ?? results.side;
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1000).toFixed(0)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function seconds(count) {
  if (count < 10) return `${count.toFixed(Number.isInteger(count) ? 0 : 1)} s`;
  return count < 60 ? `${Math.round(count)} s` : `${Math.floor(count / 60)} min ${Math.round(count % 60)} s`;
}

/** A moment (ISO 8601) in the reader's own zone and habit. */
export function moment(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** Consecutive numbers as ranges: 3–5, 9. */
export function ranges(indices) {
  const parts = [];
  for (const index of [...indices].sort((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && index === last[1] + 1) last[1] = index;
    else parts.push([index, index]);
  }
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
}
