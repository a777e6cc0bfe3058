// The viewer's place on the page: a black stage, the slices' slider, the settings, and the keys.

import { fileAddress } from "./api.js";
import { settings } from "./controls.js";
import { correcting, EDIT_KEYS } from "./correct.js";
import { h, svg } from "./dom.js";
import { sliceCount } from "./findings.js";
import { carrier, leftOf } from "./spaces.js";

const KEYS = [
  ["↑ ↓", "slice up, slice down"],
  ["Home", "slice with the largest infarct"],
  ["I", "infarct on, off"],
  ["M", "map on, off"],
  ["O", "outline of the brain on, off"],
  ["1 to 4", "windows: brain, stroke, subdural, bone"],
  ["+ − 0", "zoom in, out, all"],
];
const MOUSE = "Mouse: click to set the position, turn the wheel to change slices, drag with the right button to change the window.";

/** The panel of a finished case: its element, a function that starts it once it is in the page, and one that ends it. */
export function viewerPanel(info, one) {
  const canvas = h("canvas", {
    id: "slices",
    tabindex: 0,
    role: "img",
    "aria-label": "CT slices",
    "aria-describedby": "place keys",
  });
  const note = h("p", { class: "note" }, "Loading the scan …");
  const ring = h("div", { class: "ring", hidden: true });
  const stage = h("div", { class: "stage" }, canvas, ring, note);
  const slider = h("input", { type: "range", id: "slice", min: 0, value: 0, step: 1 });
  const bars = svg("svg", { class: "bars", "aria-hidden": true, preserveAspectRatio: "none" });
  const place = h("output", { id: "place", for: "slice" });
  const value = h("span", { id: "value" });
  const largest = h("button", { type: "button" }, "Largest infarct");
  const correction = correcting(
    one,
    () => viewer,
    () => {
      drawBars();
      viewer.slice = viewer.slice; // updates the area shown
    },
    (on) => {
      stage.classList.toggle("correcting", on);
      controls.correct(on);
      canvas.focus();
    },
  );
  const controls = settings(one, apply, one.results.aligned_from_scan ? correction.element : null);
  const element = h(
    "section",
    { class: "viewer", "aria-label": "Viewer" },
    h(
      "div",
      { class: "light" },
      stage,
      h(
        "div",
        { class: "browse" },
        h("label", { for: "slice" }, "Slice"),
        h("div", { class: "track" }, bars, slider),
        largest,
      ),
      h("p", { class: "read" }, place, value),
      h(
        "details",
        { class: "keys" },
        h("summary", {}, "Keys and mouse"),
        h(
          "p",
          { id: "keys" },
          ...KEYS.flatMap(([key, what]) => [h("kbd", {}, key), ` ${what}. `]),
          `Keys work while the picture has the focus. ${MOUSE}`,
        ),
        h(
          "p",
          { id: "edit-keys" },
          h("b", {}, "While correcting: "),
          ...EDIT_KEYS.flatMap(([key, what]) => [h("kbd", {}, key), ` ${what}. `]),
          "The left button paints or erases in the slice.",
        ),
      ),
    ),
    controls.element,
  );
  let viewer = null;
  let closed = false;

  const down = [...one.results.grid.axes].includes("I"); // stored from the top down
  const number = (slice) => (controls.now().space === "scan" && down ? sliceCount(one.results) - 1 - slice : slice);

  function moved({ slice, value: density, mapped }) {
    slider.max = viewer.slices - 1;
    slider.value = slice;
    const area = viewer.areas[slice] ?? 0;
    const kind = controls.now().space === "scan" ? "Slice" : "Aligned slice";
    const words = `${kind} ${number(slice)} of 0–${viewer.slices - 1}: ${area ? `infarct ${area.toFixed(1)} cm²` : "no infarct marked"}`;
    place.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    const here = [`${Math.round(density)} HU`.replace("-", "−")];
    const { map } = controls.now();
    if (map && mapped !== null) here.push(`${map.title}: ${controls.legend(map)(mapped)}`);
    value.textContent = `At the cross: ${here.join(", ")}`;
    canvas.dataset.slice = slice;
  }

  async function apply(how) {
    if (!viewer) return;
    canvas.setAttribute("aria-busy", true);
    note.textContent = "Loading …";
    const patience = setTimeout(() => (note.hidden = false), 200); // most changes are quicker and need no message
    try {
      if (!(await viewer.show(how))) return;
      canvas.setAttribute("aria-busy", false);
      drawBars();
      largest.disabled = !Math.max(0, ...viewer.areas);
      note.hidden = true;
      canvas.dataset.shown = [how.scan, how.map]
        .filter(Boolean)
        .map((layer) => layer.file)
        .join(" ");
    } catch (error) {
      canvas.setAttribute("aria-busy", false);
      note.hidden = false;
      note.textContent = `This layer could not be shown. ${error.message}`;
    } finally {
      clearTimeout(patience);
    }
  }

  function drawBars() {
    const top = Math.max(1, ...viewer.areas);
    bars.setAttribute("viewBox", `0 0 ${viewer.areas.length} 1`);
    bars.replaceChildren(
      ...viewer.areas.map((cm2, k) => svg("rect", { x: k + 0.1, width: 0.8, y: 1 - cm2 / top, height: cm2 / top })),
    );
  }

  slider.addEventListener("input", () => viewer && (viewer.slice = Number(slider.value)));
  largest.addEventListener("click", () => viewer?.toLargest());
  // Before NiiVue's own keys, which would among others open an alert.
  stage.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Tab" || event.ctrlKey || event.metaKey || event.altKey || !viewer) return;
      event.stopPropagation();
      if (correction.key(event)) return event.preventDefault();
      const act = {
        ArrowUp: () => (viewer.slice += 1),
        ArrowDown: () => (viewer.slice -= 1),
        PageUp: () => (viewer.slice += 1),
        PageDown: () => (viewer.slice -= 1),
        Home: () => viewer.toLargest(),
        "+": () => viewer.zoom(1.25),
        "-": () => viewer.zoom(0.8),
        0: () => viewer.zoom(0),
      }[event.key];
      if (act) act();
      else if (!controls.key(event.key.toLowerCase())) return;
      event.preventDefault();
    },
    { capture: true },
  );
  // Before NiiVue's own, which would move the cross or change the window.
  let painting = false;
  const pointer = (event, first) => {
    const { left, top } = canvas.getBoundingClientRect();
    const { radius, value } = correction.state;
    return viewer.stroke(event.clientX - left, event.clientY - top, radius, value, first);
  };
  const takes = (event) => viewer && correction.state.on && event.button === 0;
  stage.addEventListener(
    "mousedown",
    (event) => {
      if (!takes(event)) return;
      event.stopPropagation();
      event.preventDefault();
      canvas.focus();
      painting = pointer(event, true);
    },
    { capture: true },
  );
  window.addEventListener("mousemove", onMove, { capture: true });
  window.addEventListener("mouseup", onUp, { capture: true });
  function onMove(event) {
    drawRing(event);
    if (!painting) return;
    event.stopPropagation();
    pointer(event, false);
  }
  /** The brush, as large as it paints. */
  function drawRing(event) {
    const { on, radius, value } = correction.state;
    ring.hidden = true;
    if (!viewer || !on || event.target !== canvas) return;
    const { left, top } = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const width = 2 * radius * viewer.pixelsPerMm(x, y);
    if (!width) return;
    ring.hidden = false;
    ring.classList.toggle("erases", !value);
    for (const [name, px] of Object.entries({ left: x - width / 2, top: y - width / 2, width, height: width }))
      ring.style[name] = `${px}px`;
  }
  function onUp(event) {
    if (!painting) return;
    event.stopPropagation();
    painting = false;
    viewer.endStroke();
    correction.changed();
  }
  stage.addEventListener("keyup", (event) => event.stopPropagation(), { capture: true });

  async function start() {
    if (!info.viewer) {
      return without(
        "The viewer was not built into this installation. In a source checkout, one command builds it: make viewer.",
      );
    }
    if (!document.createElement("canvas").getContext("webgl2")) {
      return without("This browser cannot draw the slices: WebGL2 is missing or switched off.");
    }
    try {
      const { Viewer } = await import("./viewer.js");
      const { scan, mask } = controls.now();
      const opened = await Viewer.open(
        canvas,
        one.id,
        [scan, mask],
        { carry: carrier(one.results), toLeft: leftOf(one.results) },
        (now) => viewer && moved(now),
      );
      if (closed) return opened.close();
      viewer = opened;
      await apply(controls.now());
      canvas.dataset.ready = Math.round(performance.now()); // ms since navigation
    } catch (error) {
      without(`The viewer did not start. ${error.message}`);
    }
  }

  function without(words) {
    element.replaceChildren(
      h(
        "div",
        { class: "card" },
        h("p", {}, words),
        h(
          "p",
          {},
          "The report shows all slices: ",
          h("a", { href: fileAddress(one.id, "report.html") }, "open the report"),
          ".",
        ),
      ),
    );
  }

  return {
    element,
    start,
    close: () => {
      closed = true;
      window.removeEventListener("mousemove", onMove, { capture: true });
      window.removeEventListener("mouseup", onUp, { capture: true });
      viewer?.close();
    },
  };
}
