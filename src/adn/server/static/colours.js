// How maps are coloured, the same on the slices and in the legends. Bands and colours are those of the report
// (adn.figures.board).

export const INFARCT = "#ff5340";
export const BRAIN = "#4aa8ff";
const BANDS = ["#4575d4", "#2fb7a3", "#f0d13a", "#ff8c2b"]; // relative hypodensity: 5, 10, 15, 20 %

/** Colour maps of our own: name → colours from low to high, in bands or blended. */
const MAPS = {
  "adn-bands": { colours: BANDS, banded: true },
  "adn-probability": { colours: ["#54248c", "#b5367a", "#f5744d", "#fde725"] },
  "adn-dark": { colours: ["#7a1f1f", "#e34a33", "#fdbb84", "#fff3d6"] }, // darker than the twin: A and P
  "adn-normal": { colours: ["#123c69", "#2b8cbe", "#7bccc4", "#e6f8d8"] }, // normal anatomy: Q
};

/** Layer name → colour map, what its map shows, and the legend's words. top: nothing lies above the range. */
export const LOOKS = {
  infarct_probability: { map: "adn-probability", range: [0.05, 1], legend: percent, top: true },
  relative_hypodensity: { map: "adn-bands", range: [0.05, 0.25], legend: percent },
  asymmetry_total: { map: "adn-dark", range: [2, 16], legend: hu },
  asymmetry_pathological: { map: "adn-dark", range: [2, 16], legend: hu },
  asymmetry_intrinsic: { map: "adn-normal", range: [2, 16], legend: hu },
};

export function percent(value) {
  return `${Math.round(100 * value)} %`;
}

export function hu(value) {
  return `${value.toFixed(Number.isInteger(value) ? 0 : 1).replace("-", "−")} HU`;
}

/** The appearance of a layer; unknown layers get a plain one. */
export function look(layer) {
  const known = LOOKS[layer.name];
  return known ?? { map: "adn-dark", range: layer.range, legend: (value) => `${value} ${layer.unit ?? ""}` };
}

/** For NiiVue: name → {R, G, B, A, I}; the lowest entry is clear, so what lies below the range is not coloured. */
export function colourMaps() {
  return Object.fromEntries(Object.entries(MAPS).map(([name, map]) => [name, table(map)]));
}

function table({ colours, banded }) {
  const stops = [];
  colours.forEach((colour, n) => {
    const channels = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
    if (banded) {
      const width = 255 / colours.length;
      stops.push([Math.ceil(n * width), channels], [Math.ceil((n + 1) * width) - 1, channels]);
    } else {
      stops.push([Math.round((255 * n) / (colours.length - 1)), channels]);
    }
  });
  stops[0][0] = 1;
  stops.at(-1)[0] = 255;
  stops.unshift([0, [0, 0, 0]]);
  const channel = (n) => stops.map(([, channels]) => channels[n]);
  return {
    R: channel(0),
    G: channel(1),
    B: channel(2),
    A: stops.map((_, n) => (n ? 255 : 0)),
    I: stops.map(([at]) => at),
  };
}

/** The same colours as a CSS background, left to right. */
export function gradient(name) {
  const { colours, banded } = MAPS[name];
  if (!banded) return `linear-gradient(to right, ${colours.join(", ")})`;
  const step = 100 / colours.length;
  return `linear-gradient(to right, ${colours.map((colour, n) => `${colour} ${n * step}% ${(n + 1) * step}%`).join(", ")})`;
}
