// The numbers beside the viewer: verdict, where, checks, warnings, and the files.

import { fileAddress } from "./api.js";
import { facts, h } from "./dom.js";
import { bytes, ranges, side, signed, volume } from "./words.js";

const MIN_SHARE = 0.1; // of the infarct: lesser territories are not named, as in the report

/** The verdict and the link to the report, across the page. */
export function headline({ id, results }) {
  const found = results.side !== "none";
  return h(
    "div",
    { class: "headline" },
    h(
      "div",
      {},
      h(
        "h1",
        { id: "verdict" },
        results.verdict ?? (found ? `Infarct marked: ${volume(results.volume_ml)}` : "No infarct marked"),
      ),
      found && results.assessable !== false ? null : h("p", {}, beside(results)),
    ),
    h(
      "a",
      { class: "button main", href: fileAddress(id, "report.html"), target: "_blank", rel: "noopener" },
      "Open the report",
      h("span", { class: "unseen" }, " in a new tab"),
    ),
  );
}

/** The note under a verdict that names no infarct. */
const beside = (results) =>
  results.assessable === false
    ? "This neither confirms nor rules out an infarct: look at the scan itself."
    : "This does not exclude an infarct: early ischaemia can be invisible on CT.";

/** The numbers, worded as in the report. */
export function findings({ results }) {
  const rows = [["Volume", volume(results.volume_ml)]];
  if (results.side !== "none") {
    rows.push(["Side", side(results)]);
    if (results.side === "both") rows.push(["Left, right", `${volume(results.left_ml)}, ${volume(results.right_ml)}`]);
    rows.push(["Slices", `${ranges(results.slices)} of 0–${sliceCount(results) - 1}`]);
    if (results.mean_hu !== null)
      rows.push(["Mean density", `${signed(results.mean_hu, 1)} HU, mirror side ${signed(results.mirror_hu, 1)} HU`]);
  }
  return h(
    "section",
    { class: "findings", "aria-label": "Findings" },
    h("h2", {}, "Infarct"),
    facts(rows),
    territories(results),
    checks(results),
  );
}

/** Slices along the scan's superior-inferior axis. */
export const sliceCount = (results) =>
  results.grid.shape[[...results.grid.axes].findIndex((axis) => "SI".includes(axis))];

/** What to know before reading; null if there is nothing. */
export function warnings({ results }) {
  if (!results.warnings.length) return null;
  return h(
    "section",
    { class: "warnings", "aria-labelledby": "warnings" },
    h("h2", { id: "warnings" }, "Warnings: read with care"),
    h(
      "ul",
      {},
      results.warnings.map((warning) => h("li", {}, warning)),
    ),
  );
}

function territories(results) {
  const named = results.territories.filter((share) => share.volume_ml >= MIN_SHARE * results.volume_ml);
  if (!named.length) return null;
  const artery = (name) => (name === "lenticulostriate" ? "middle cerebral artery, deep (lenticulostriate)" : name);
  const name = (share) => `${share.side === "left" ? "Left" : "Right"} ${artery(share.territory)}`;
  const rows = named.map((share) => [name(share), volume(share.volume_ml)]);
  const rest = results.territories.reduce((sum, share) => sum + (named.includes(share) ? 0 : share.volume_ml), 0);
  if (rest >= 0.05) rows.push(["Elsewhere", volume(rest)]);
  return h("div", {}, h("h2", {}, "Arterial territory, approximate"), facts(rows, "shares"));
}

function checks(results) {
  const list = results.checks ?? [];
  const doubtful = list.filter((check) => !check.good);
  const words = doubtful.length
    ? `look at ${doubtful.map((check) => check.name.toLowerCase()).join(", ")}`
    : "nothing unusual";
  const line = (check) =>
    h(
      "li",
      { class: check.good ? "" : "look" },
      h("b", {}, `${check.good ? "✓" : "▲"} ${check.name}: `),
      `${check.measured}. ${check.meaning}`,
    );
  return h(
    "div",
    {},
    h("h2", {}, "Quality checks"),
    h(
      "p",
      { class: doubtful.length ? "look" : "" },
      `${list.length ? `${words[0].toUpperCase()}${words.slice(1)}. ` : ""}Thin bleeds are not looked for.`,
    ),
    list.length
      ? h(
          "details",
          { open: doubtful.length > 0 },
          h("summary", {}, "All checks"),
          h("ul", { class: "plain" }, list.map(line)),
        )
      : null,
  );
}

const FIRST = ["report.html", "infarct.nii.gz", "infarct_seg.dcm", "infarct_sr.dcm", "result.json"];

/** Every file of the case with its size: the most wanted first, those in the aligned space folded away. */
export function downloads(one) {
  const place = (file) => (FIRST.includes(file.name) ? FIRST.indexOf(file.name) : FIRST.length);
  const files = [...one.files].sort((a, b) => place(a) - place(b));
  const table = (list) =>
    h(
      "table",
      { class: "files" },
      h(
        "tbody",
        {},
        list.map((file) => fileRow(one.id, file)),
      ),
    );
  const aligned = files.filter((file) => file.name.startsWith("aligned_"));
  return h(
    "section",
    { class: "card", "aria-labelledby": "files" },
    h("h2", { id: "files" }, "Files"),
    table(files.filter((file) => !aligned.includes(file))),
    aligned.length
      ? h("details", {}, h("summary", {}, `In the aligned space (${aligned.length})`), table(aligned))
      : null,
  );
}

function fileRow(id, file) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, file.title, " ", h("code", {}, file.name)),
    h("td", { class: "n" }, bytes(file.bytes)),
    h(
      "td",
      { class: "n" },
      h(
        "a",
        {
          href: `${fileAddress(id, file.name)}?download=1`,
          download: file.name,
          "aria-label": `Download ${file.name}`,
        },
        "Download",
      ),
    ),
  );
}
