// Correct the mask: brush, eraser, undo; volumes and ASPECTS follow; a new version is saved beside the original.

import * as api from "./api.js";
import { confirmed, facts, h, say } from "./dom.js";
import { moment, volume } from "./words.js";

const REST = 300; // ms without a stroke before the server is asked for ASPECTS
const SIZES = [1, 30, 0.5]; // radius of the brush, mm: least, most, step
export const EDIT_KEYS = [
  ["E", "correct the mask, on, off"],
  ["B", "brush"],
  ["X", "eraser"],
  ["[ ]", "smaller, larger brush"],
  ["Shift with arrows", "move the cross within the slice"],
  ["Space", "paint or erase at the cross"],
  ["Delete", "clear this slice"],
  ["Z", "undo"],
  ["S", "save as a new version"],
];

/**
 * The panel that corrects. one: the case. viewer: gives the viewer, or null. refresh: called when the mask has changed.
 * turned: called with whether correcting is on.
 */
export function correcting(one, viewer, refresh, turned) {
  const state = { on: false, value: 1, radius: 4, dirty: false };
  const original = one.results.answers?.aspects;
  const aspects = { asked: 0, timer: 0, text: original?.because === null ? points([original.left, original.right]) : null };
  const versions = [...(one.corrections ?? [])];
  const tool = (value, words) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name: "tool", value, checked: value === 1, onchange: () => choose(value) }),
      h("span", {}, words),
    );
  const radius = h("input", { type: "range", id: "radius", min: SIZES[0], max: SIZES[1], step: SIZES[2], value: 4 });
  const size = h("output", { for: "radius" }, "4 mm");
  const sums = h("div", { class: "sums", "aria-live": "polite" });
  const undo = h("button", { type: "button", onclick: takeBack }, "Undo");
  const save = h("button", { type: "button", class: "main", onclick: keep }, "Save as a new version");
  const toggle = h("button", { type: "button", "aria-pressed": "false", onclick: () => turn(!state.on) }, "Correct the mask");
  const message = h("p", { class: "quiet", role: "status" });
  const list = h("div", {});
  const tools = h(
    "div",
    { class: "tools", hidden: true },
    h("div", { class: "choices" }, tool(1, "Brush"), tool(0, "Eraser")),
    h("label", { class: "opacity" }, h("span", {}, "Radius"), radius, size),
    sums,
    h("p", { class: "buttons" }, undo, save),
  );
  const element = h("fieldset", { class: "row correct" }, h("legend", {}, "Correction"), toggle, tools, list, message);
  radius.addEventListener("input", () => resize(radius.valueAsNumber));
  window.addEventListener("beforeunload", (event) => state.dirty && element.isConnected && event.preventDefault());

  function choose(value) {
    state.value = value;
    for (const input of element.querySelectorAll("input[name=tool]")) input.checked = Number(input.value) === value;
  }

  function resize(mm) {
    state.radius = Math.min(SIZES[1], Math.max(SIZES[0], mm));
    radius.value = state.radius;
    size.textContent = `${state.radius} mm`;
  }

  function turn(on) {
    if (!viewer()) return;
    state.on = on;
    tools.hidden = !on;
    toggle.setAttribute("aria-pressed", on);
    toggle.textContent = on ? "Stop correcting" : "Correct the mask";
    turned(on);
    tell();
  }

  function tell() {
    const now = viewer()?.volumes;
    if (!now) return;
    const change = now.all - one.results.volume_ml;
    const sign = change < 0 ? "−" : "+";
    const rows = [
      ["Marked by adn", volume(one.results.volume_ml)],
      ["Now", `${volume(now.all)} (${sign}${volume(Math.abs(change))})`],
      ["Left, right", `${volume(now.left)}, ${volume(now.right)}`],
    ];
    if (aspects.text) rows.push(["ASPECTS", aspects.text]);
    sums.replaceChildren(facts(rows, "shares"));
    undo.disabled = !viewer().strokes;
    save.disabled = !state.dirty;
  }

  /** Ask the server for the score of what is painted now, once the reader rests; the last answer counts. */
  function rescore() {
    if (!aspects.text) return;
    clearTimeout(aspects.timer);
    const turn = (aspects.asked += 1);
    aspects.timer = setTimeout(async () => {
      let text;
      try {
        const found = await api.score(one.id, await viewer().packed());
        text = found.aspects ? points(found.aspects, found.lost) : "cannot be told";
      } catch (error) {
        text = `not known: ${error.message}`;
      }
      if (turn !== aspects.asked) return;
      aspects.text = text;
      tell();
    }, REST);
  }

  /** After each stroke. */
  function changed() {
    state.dirty = true;
    message.textContent = "Not saved yet.";
    tell();
    rescore();
    refresh();
  }

  function takeBack() {
    if (viewer()?.undo()) changed();
  }

  async function keep() {
    if (!state.dirty) return;
    save.disabled = true;
    message.textContent = "Saving …";
    try {
      const kept = await api.correct(one.id, await viewer().packed());
      versions.push(kept);
      state.dirty = false;
      message.textContent = `Saved as version ${kept.number}: ${volume(kept.volume_ml)}. The original is unchanged.`;
      say(message.textContent);
    } catch (error) {
      message.textContent = `Not saved. ${error.message}`;
    }
    draw();
    tell();
  }

  function draw() {
    const score = (kept) => (kept.aspects ? `, ASPECTS ${points(kept.aspects)}` : "");
    const words = (kept) => [`Version ${kept.number}`, `${volume(kept.volume_ml)}${score(kept)}, ${moment(kept.saved)}`];
    const show = (kept) =>
      h("button", { type: "button", class: "small", onclick: () => open(kept) }, kept ? `Show version ${kept.number}` : "Show the original");
    list.replaceChildren(
      ...(versions.length ? [facts(versions.map(words), "shares"), h("p", { class: "buttons" }, show(null), ...versions.map(show))] : []),
    );
  }

  async function open(kept) {
    const lost = "Changes since the last save will be lost.";
    if (state.dirty && !(await confirmed("Show another version?", lost, "Show it"))) return;
    await viewer()?.openMask(kept ? kept.file : null);
    state.dirty = false;
    message.textContent = kept ? `Version ${kept.number} is shown.` : "The original is shown.";
    tell();
    rescore();
    refresh();
  }

  draw();
  return {
    element,
    state,
    changed,
    /** A key that was pressed on the picture; true where it does something. */
    key(event) {
      const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (name === "e") turn(!state.on);
      else if (!state.on) return false;
      else if (name === "b") choose(1);
      else if (name === "x") choose(0);
      else if (name === "[") resize(state.radius - 1);
      else if (name === "]") resize(state.radius + 1);
      else if (name === "z") takeBack();
      else if (name === "s") keep();
      else if (name === " ") viewer().dab(state.radius, state.value), changed();
      else if (name === "Delete") viewer().clearSlice(), changed();
      else if (event.shiftKey && name.startsWith("Arrow")) viewer().step({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[name]);
      else return false;
      return true;
    },
  };
}

/** A score in words. lost: marked regions, listed after their side. */
function points(score, lost = []) {
  const side = (name, count) => {
    const regions = lost.filter((one) => one.side === name).map((one) => one.region);
    return `${name} ${count}${regions.length ? ` (${regions.join(", ")} marked)` : ""}`;
  };
  return `${side("left", score[0])}, ${side("right", score[1])}`;
}
