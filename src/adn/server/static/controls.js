// What the reader can set: space, scan, map, infarct, window, view. Each change calls `changed` with all settings.

import { gradient, look } from "./colours.js";
import { h } from "./dom.js";

const WINDOWS = {
  brain: ["Brain", 80, 40],
  stroke: ["Stroke", 40, 40],
  subdural: ["Subdural", 200, 75],
  bone: ["Bone", 2000, 500],
};
const STROKE = { width: 40, level: 40 };
/** Scans are drawn in grey: the scan itself, X̂ and X̃; the other images are maps above them, or masks. */
const kindOf = (layer) => (layer.kind === "map" && layer.colour === "gray" ? "scan" : layer.kind);

/** The settings of a case: their element, what they say now, and keys. extra: an element that stands among them. */
export function settings(one, changed, extra = null) {
  const of = (kind, space) => one.layers.filter((layer) => kindOf(layer) === kind && layer.space === space);
  const spaces = ["scan", "aligned"].filter((space) => of("scan", space).length);
  const chosen = {
    space: "scan",
    scan: "scan",
    map: "",
    mark: "contour",
    markOpacity: 0.5,
    mapOpacity: 0.7,
    view: "planes",
    brain: "",
  };
  const free = { ...STROKE };

  const named = (kind, name) => of(kind, chosen.space).find((layer) => layer.name === name) ?? null;
  const now = () => ({
    space: chosen.space,
    scan: named("scan", chosen.scan) ?? of("scan", chosen.space)[0],
    map: named("map", chosen.map),
    mask: named("mask", "infarct"),
    brain: chosen.brain ? named("mask", "brain_mask") : null,
    mark: { contour: [0, 1], filled: [chosen.markOpacity, 1], off: [0, 0] }[chosen.mark],
    mapOpacity: chosen.mapOpacity,
    windowHu: [free.level - free.width / 2, free.level + free.width / 2],
    view: chosen.view,
  });
  const tell = () => {
    draw();
    changed(now());
  };

  const set = (key) => (value) => {
    chosen[key] = value;
    tell();
  };
  const view = radios(
    "View",
    "view",
    [
      ["planes", "3 planes"],
      ["axial", "Axial"],
      ["render", "With 3D"],
    ],
    set("view"),
  );
  const space = radios(
    "Space",
    "space",
    spaces.map((name) => [name, name === "scan" ? "As scanned" : "Aligned"]),
    set("space"),
  );
  const scan = radios(
    "Image",
    "scan",
    of("scan", "scan").map((layer) => [layer.name, layer.title]),
    set("scan"),
    "rows",
  );
  const map = radios(
    "Map",
    "map",
    [["", "None"], ...of("map", "scan").map((layer) => [layer.name, layer.title])],
    set("map"),
    "rows",
  );
  const mark = radios(
    "Infarct",
    "mark",
    [
      ["contour", "Contour"],
      ["filled", "Filled"],
      ["off", "Off"],
    ],
    set("mark"),
  );
  const brain = radios(
    "Brain outline",
    "brain",
    [
      ["", "Off"],
      ["on", "On"],
    ],
    set("brain"),
  );
  const markOpacity = opacity("Fill opacity", chosen.markOpacity, set("markOpacity"));
  const mapOpacity = opacity("Map opacity", chosen.mapOpacity, set("mapOpacity"));
  const legend = h("div", { class: "legend" });
  const pick = (name) => {
    [, free.width, free.level] = WINDOWS[name];
    tell();
  };
  const window_ = radios(
    "Window",
    "window",
    Object.entries(WINDOWS).map(([name, [title]]) => [name, title]),
    pick,
  );
  const number = (key, label, min) => {
    const input = h("input", { type: "number", id: key, min, max: 4000, step: 5 });
    input.addEventListener("change", () => {
      if (!Number.isFinite(input.valueAsNumber)) return draw();
      free[key] = Math.max(min, input.valueAsNumber);
      tell();
    });
    return [h("label", { for: key }, label), input];
  };
  const widthInput = number("width", "Width", 1);
  const levelInput = number("level", "Level", -1000);
  window_.append(h("div", { class: "numbers" }, ...widthInput, ...levelInput));
  mark.append(markOpacity);
  map.append(legend, mapOpacity);

  function draw() {
    const preset = Object.entries(WINDOWS).find(
      ([, [, width, level]]) => width === free.width && level === free.level,
    )?.[0];
    for (const [name, value] of Object.entries({ ...chosen, window: preset ?? "" })) {
      for (const input of element.querySelectorAll(`input[type=radio][name=${name}]`))
        input.checked = input.value === value;
    }
    widthInput[1].value = free.width;
    levelInput[1].value = free.level;
    markOpacity.hidden = chosen.mark !== "filled";
    mapOpacity.hidden = legend.hidden = !now().map;
    if (now().map) {
      const { map: colours, range, legend: words, top } = look(now().map);
      const bar = h("div", { class: "bar", "aria-hidden": true });
      bar.style.background = gradient(colours);
      legend.replaceChildren(
        bar,
        h("span", {}, words(range[0])),
        h("span", {}, `${words(range[1])}${top ? "" : " and more"}`),
      );
    }
  }

  const element = h(
    "form",
    { class: "settings", "aria-label": "Settings of the viewer" },
    window_,
    extra,
    mark,
    named("mask", "brain_mask") ? brain : null,
    map,
    scan,
    spaces.length > 1 ? space : null,
    view,
  );
  element.addEventListener("submit", (event) => event.preventDefault());
  draw();
  return {
    element,
    now,
    legend: (layer) => look(layer).legend,
    /** The mask is corrected on the scan's own slices, where it is seen. */
    correct(on) {
      if (on) Object.assign(chosen, { space: "scan", view: "axial", mark: chosen.mark === "off" ? "contour" : chosen.mark });
      for (const input of element.querySelectorAll("input[name=space]")) input.disabled = on;
      tell();
    },
    /** A key that was pressed on the picture; true where it does something. */
    key(name) {
      const names = Object.keys(WINDOWS);
      if (names[Number(name) - 1]) pick(names[Number(name) - 1]);
      else if (name === "i") set("mark")(chosen.mark === "off" ? "contour" : "off");
      else if (name === "o") set("brain")(chosen.brain ? "" : "on");
      else if (name === "m") {
        const first = of("map", "scan").map((layer) => layer.name);
        chosen.last =
          chosen.map || chosen.last || (first.includes("relative_hypodensity") ? "relative_hypodensity" : first[0]);
        set("map")(chosen.map ? "" : chosen.last);
      } else return false;
      return true;
    },
  };
}

function radios(title, name, choices, choose, kind = "row") {
  const one = ([value, text]) =>
    h("label", {}, h("input", { type: "radio", name, value, onchange: () => choose(value) }), h("span", {}, text));
  return h("fieldset", { class: kind }, h("legend", {}, title), h("div", { class: "choices" }, choices.map(one)));
}

function opacity(title, value, choose) {
  const input = h("input", { type: "range", min: 0, max: 1, step: 0.05, value, "aria-label": title });
  input.addEventListener("input", () => choose(input.valueAsNumber));
  return h("label", { class: "opacity" }, h("span", { "aria-hidden": true }, "Opacity"), input);
}
