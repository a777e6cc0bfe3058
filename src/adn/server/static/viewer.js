// The slices, drawn by NiiVue. This file knows volumes and slices; what the reader sets is in controls.js.

import { DRAG_MODE, Niivue, NVImage, SHOW_RENDER, SLICE_TYPE } from "./vendor/niivue.min.js";
import { fileAddress } from "./api.js";
import { colourMaps, look } from "./colours.js";
import { Painting, volumes } from "./paint.js";
import { sliceShader } from "./shader.js";

const HEAD_HU = -300; // between air and skin
const KEPT = 4; // volumes held in memory besides those shown: a thin-slice map takes 200 MB
const [AXIAL, CORONAL, SAGITTAL, RENDER] = [
  SLICE_TYPE.AXIAL,
  SLICE_TYPE.CORONAL,
  SLICE_TYPE.SAGITTAL,
  SLICE_TYPE.RENDER,
];
/** Which view → tiles as [kind, left, top, width, height], parts of the canvas. */
const LAYOUTS = {
  planes: {
    wide: [
      [AXIAL, 0.01, 0, 0.62, 1],
      [CORONAL, 0.64, 0, 0.35, 0.5],
      [SAGITTAL, 0.64, 0.5, 0.35, 0.5],
    ],
    tall: [
      [AXIAL, 0.01, 0, 0.98, 0.62],
      [CORONAL, 0.01, 0.62, 0.48, 0.38],
      [SAGITTAL, 0.51, 0.62, 0.48, 0.38],
    ],
  },
  axial: { wide: [[AXIAL, 0.01, 0, 0.98, 1]] },
  render: {
    wide: [
      [AXIAL, 0.01, 0, 0.48, 0.5],
      [CORONAL, 0.51, 0, 0.48, 0.5],
      [SAGITTAL, 0.01, 0.5, 0.48, 0.5],
      [RENDER, 0.51, 0.5, 0.48, 0.5],
    ],
  },
};

export class Viewer {
  #nv;
  #canvas;
  #id;
  #images = new Map();
  #moved;
  #turn = 0;
  #layout = "planes";
  #areas = [];
  #mask = null;
  #painting = null;
  #kept = null; // what was painted, while the other space is shown
  #brain = null;
  #skin = null;
  #toLeft;
  #from = null;
  #space = null;
  #carry;
  #fit = [0.5, 0.5, 0.5, 1];
  #observer;

  /**
   * first: layers that are shown first; they are fetched while the canvas is set up. carry: see spaces.js. toLeft: see
   * paint.js. moved: called with {slice, value, mapped} whenever the cross has moved.
   * Throws where WebGL2 is missing.
   */
  static async open(canvas, id, first, { carry, toLeft }, moved) {
    const viewer = new Viewer();
    viewer.#canvas = canvas;
    viewer.#id = id;
    viewer.#carry = carry;
    viewer.#toLeft = toLeft;
    viewer.#moved = moved;
    for (const layer of first.filter(Boolean)) viewer.#load(layer).catch(() => {}); // reported where it is shown
    const nv = new Niivue({
      isRadiologicalConvention: true,
      showAllOrientationMarkers: true,
      sagittalNoseLeft: true,
      multiplanarShowRender: SHOW_RENDER.NEVER,
      backColor: [0, 0, 0, 1],
      fontColor: [1, 0.62, 0.1, 1], // readable on black and on bone
      fontMinPx: 15,
      crosshairColor: [0.45, 0.8, 1, 0.5],
      crosshairWidth: 0.6,
      crosshairWidthUnit: "mm",
      crosshairGap: 12,
      dragMode: DRAG_MODE.windowing,
      dragAndDropEnabled: false,
      isForceMouseClickToVoxelCenters: true,
      loadingText: "",
      logLevel: "warn",
    });
    for (const [name, map] of Object.entries(colourMaps())) nv.addColormap(name, map);
    nv.onLocationChange = () => viewer.#tell();
    await nv.attachToCanvas(canvas, true); // smoothed, or the thin lines of the cross come and go
    nv.setCustomSliceShader(sliceShader(1.6 * (window.devicePixelRatio || 1)));
    viewer.#nv = nv;
    viewer.#observer = new ResizeObserver(() => viewer.#setLayout(viewer.#layout));
    viewer.#observer.observe(canvas.parentElement);
    return viewer;
  }

  close() {
    this.#turn += 1;
    this.#observer.disconnect();
    this.#nv.cleanup();
    this.#nv.gl.getExtension("WEBGL_lose_context")?.loseContext(); // browsers allow about 16 at a time
  }

  /**
   * Show what the settings say: space, scan, map, mask and brain (layers), windowHu, mark ([filling, contour], 0 to 1),
   * mapOpacity, view. False if overtaken meanwhile.
   */
  async show({ space, scan, map, mask, brain, windowHu, mark, mapOpacity, view }) {
    const mine = ++this.#turn;
    const layers = [scan, map, mask, brain];
    const [under, over, marked, skin] = await Promise.all(layers.map((layer) => layer && this.#load(layer)));
    if (mine !== this.#turn) return false;
    const nv = this.#nv;
    const place = this.#space ? nv.frac2mm(nv.scene.crosshairPos, 0, true) : null;
    const other = space !== this.#space;
    [under.cal_min, under.cal_max] = windowHu;
    if (over) over.opacity = mapOpacity;
    [nv.overlayAlphaShader, nv.drawRimOpacity] = mark; // filling and contour on slices (shader.js)
    nv.drawOpacity = mark[1]; // in 3D
    nv.volumes = over ? [under, over] : [under];
    nv.setVolume(under, 0);
    if (marked && (marked !== this.#mask || other)) {
      if (this.#space === "scan") this.#kept = this.#painting;
      nv.loadDrawing(marked);
      this.#painting =
        space === "scan" && this.#kept
          ? this.#kept
          : new Painting(nv.drawBitmap.slice(), under.dimsRAS.slice(1, 4), under.pixDimsRAS.slice(1, 4));
      this.#mask = marked;
    }
    if (this.#painting) {
      if (skin !== this.#skin || other) this.#brain = skin ? bitmapOf(nv, skin) : null;
      this.#skin = skin;
      this.#redraw();
    }
    this.#setLayout(view);
    if (other) {
      this.#fit = headFit(under);
      this.zoom(0);
      this.#space = space;
      if (place) this.#go(this.#snapped(nv.mm2frac(this.#carry(place, space), 0, true)));
      else this.toLargest();
    } else {
      this.#tell();
    }
    return true;
  }

  #load(layer) {
    const kept = this.#images.get(layer.file);
    this.#images.delete(layer.file);
    const { map, range } =
      layer.colour === "gray" || layer.kind !== "map" ? { map: "gray", range: layer.range } : look(layer);
    const options = { url: fileAddress(this.#id, layer.file), name: layer.file, colormap: map };
    const image = kept ?? NVImage.loadFromUrl({ ...options, cal_min: range?.[0], cal_max: range?.[1] });
    this.#images.set(layer.file, image);
    for (const file of [...this.#images.keys()].slice(0, -KEPT)) this.#images.delete(file);
    return image;
  }

  #setLayout(name) {
    this.#layout = name;
    const { clientWidth, clientHeight } = this.#canvas.parentElement;
    const { wide, tall = wide } = LAYOUTS[name];
    const tiles = clientWidth > 1.15 * clientHeight ? wide : tall;
    this.#nv.setCustomLayout(tiles.map(([sliceType, ...position]) => ({ sliceType, position })));
  }

  /** Put the mask, and the brain's outline as a second bit (shader.js), where NiiVue draws it. */
  #redraw() {
    const { mask, shape, size } = this.#painting;
    const bitmap = this.#nv.drawBitmap;
    if (this.#brain && this.#layout !== "render") {
      for (let voxel = 0; voxel < mask.length; voxel += 1) bitmap[voxel] = mask[voxel] | (this.#brain[voxel] ? 2 : 0);
    } else {
      bitmap.set(mask);
    }
    this.#nv.refreshDrawing(true);
    this.#areas = areas(mask, [0, ...shape], [0, ...size]);
  }

  // --- correcting

  /** mL of the mask as it is now: all, left, right. */
  get volumes() {
    return volumes(this.#painting, this.#toLeft);
  }

  get strokes() {
    return this.#painting.strokes;
  }

  /** The voxel under the cross, or under a place of the canvas in CSS pixels; null beside the picture. */
  #voxel(x, y) {
    const dpr = this.#nv.uiData.dpr || 1;
    const frac = x === undefined ? this.#nv.scene.crosshairPos : this.#nv.canvasPos2frac([x * dpr, y * dpr]);
    if (frac[0] < 0) return null;
    return this.#painting.shape.map((n, axis) => Math.min(n - 1, Math.max(0, Math.floor(frac[axis] * n))));
  }

  /** CSS pixels of a millimetre under a place of the canvas; 0 beside the picture. */
  pixelsPerMm(x, y) {
    const dpr = this.#nv.uiData.dpr || 1;
    const [a, b] = [x, x + 4].map((at) => this.#nv.canvasPos2frac([at * dpr, y * dpr]));
    if (a[0] < 0 || b[0] < 0) return 0;
    const { shape, size } = this.#painting;
    const mm = Math.hypot(...[0, 1, 2].map((axis) => (b[axis] - a[axis]) * shape[axis] * size[axis]));
    return mm > 0 ? 4 / mm : 0;
  }

  /** A disc at the cross. */
  dab(radius, value) {
    this.#painting.begin();
    this.#painting.dab(this.#voxel(), radius, value);
    this.#painting.end();
    this.#redraw();
  }

  /** A stroke of the pointer: begun where `first`, ended by `endStroke`; false beside the picture. */
  stroke(x, y, radius, value, first) {
    const at = this.#voxel(x, y);
    if (!at) return false;
    if (first) {
      this.#painting.begin();
      this.#painting.dab(at, radius, value);
    } else if (this.#from) {
      this.#painting.line(this.#from, at, radius, value);
    }
    this.#from = at;
    this.#go(at.map((n, axis) => (n + 0.5) / this.#painting.shape[axis]));
    this.#redraw();
    return true;
  }

  endStroke() {
    this.#from = null;
    this.#painting.end();
  }

  clearSlice() {
    this.#painting.clear(this.slice);
    this.#redraw();
  }

  /** Take back the last stroke and show its slice; false where there is none. */
  undo() {
    const slice = this.#painting.undo();
    if (slice === null) return false;
    this.#redraw();
    this.slice = slice;
    return true;
  }

  /** Move the cross by voxels on the screen: to the right, up. */
  step([right, up]) {
    const [x, y, z] = this.#voxel(); // radiological: the patient's left is on the right of the picture
    const at = [x - right, y + up, z];
    this.#go(at.map((n, axis) => (Math.min(this.#painting.shape[axis] - 1, Math.max(0, n)) + 0.5) / this.#painting.shape[axis]));
  }

  /** The mask for the server: gzip of a byte a voxel, RAS. */
  async packed() {
    const stream = new Blob([this.#painting.mask]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Response(stream).blob();
  }

  /** Begin from another mask of this case, by file; the original where it is null. */
  async openMask(file) {
    const image = file ? await NVImage.loadFromUrl({ url: fileAddress(this.#id, file), name: file }) : this.#mask;
    const { shape, size } = this.#painting;
    this.#painting = new Painting(bitmapOf(this.#nv, image), shape, size);
    this.#redraw();
    this.#tell();
  }

  /** Infarct per axial slice, from the skull base up: cm². */
  get areas() {
    return this.#areas.map(([cm2]) => cm2);
  }

  get slices() {
    return this.#nv.volumes[0]?.dimsRAS[3] ?? 0;
  }

  get slice() {
    return Math.min(this.slices - 1, Math.floor(this.#nv.scene.crosshairPos[2] * this.slices));
  }

  set slice(index) {
    this.#go([NaN, NaN, (Math.min(this.slices - 1, Math.max(0, index)) + 0.5) / this.slices]);
  }

  toLargest() {
    const largest = this.#areas.reduce((best, [cm2], n) => (cm2 > (this.#areas[best]?.[0] ?? 0) ? n : best), -1);
    if (largest < 0) this.#go([0.5, 0.5, (Math.floor(this.slices / 2) + 0.5) / this.slices]);
    else this.#go([...this.#areas[largest][1], (largest + 0.5) / this.slices]);
  }

  #go(frac) {
    const { scene } = this.#nv;
    scene.crosshairPos = scene.crosshairPos.map((was, axis) => (Number.isNaN(frac[axis]) ? was : frac[axis]));
    this.#nv.drawScene();
    this.#tell();
  }

  /** A place within the field, in the middle of a slice. */
  #snapped([x, y, z]) {
    const within = (at) => Math.min(1, Math.max(0, at));
    return [within(x), within(y), (Math.min(this.slices - 1, Math.floor(within(z) * this.slices)) + 0.5) / this.slices];
  }

  /** times: factor on the zoom, about the cross; 0 shows the whole head. */
  zoom(times) {
    const nv = this.#nv;
    const zoom = times ? Math.min(10, Math.max(1, nv.scene.pan2Dxyzmm[3] * times)) : this.#fit[3];
    const middle = times ? nv.scene.crosshairPos : this.#fit.slice(0, 3);
    const [from, to] = [nv.frac2mm([0.5, 0.5, 0.5], 0, nv.opts.isSliceMM), nv.frac2mm(middle, 0, nv.opts.isSliceMM)];
    nv.setPan2Dxyzmm([0, 1, 2].map((axis) => from[axis] - zoom * to[axis]).concat(zoom));
  }

  #tell() {
    const at = this.#nv.frac2mm(this.#nv.scene.crosshairPos, 0, true);
    const value = (image) => image.getValue(...image.mm2vox(at), 0);
    const [scan, map] = this.#nv.volumes;
    if (scan) this.#moved({ slice: this.slice, value: value(scan), mapped: map ? value(map) : null });
  }
}

/** A mask's voxels as 0 and 1, RAS, x fastest. */
function bitmapOf(nv, image) {
  const shown = nv.drawBitmap;
  nv.loadDrawing(image);
  const found = nv.drawBitmap.slice();
  nv.drawBitmap.set(shown);
  return found;
}

/** For a mask in RAS order: per axial slice [cm², [x, y] of the middle, as fractions of the field]. */
function areas(mask, [, width, height, depth], [, dx, dy]) {
  const found = [];
  for (let k = 0, at = 0; k < depth; k += 1) {
    let [count, x, y] = [0, 0, 0];
    for (let j = 0; j < height; j += 1) {
      for (let i = 0; i < width; i += 1, at += 1) {
        if (mask[at]) {
          count += 1;
          x += i;
          y += j;
        }
      }
    }
    found.push([(count * dx * dy) / 100, count ? [(x / count + 0.5) / width, (y / count + 0.5) / height] : [0.5, 0.5]]);
  }
  return found;
}

/** Middle and zoom at which the head fills its tile: [x, y, z, zoom], parts of the field. A few voxels are enough. */
function headFit(image) {
  const [, width, height, depth] = image.dimsRAS;
  const low = [1, 1];
  const high = [0, 0];
  for (let k = 0; k < depth; k += 2) {
    for (let j = 0; j < height; j += 8) {
      for (let i = 0; i < width; i += 8) {
        if (image.getValue(i, j, k) < HEAD_HU) continue;
        [i / width, j / height].forEach((at, axis) => {
          low[axis] = Math.min(low[axis], at);
          high[axis] = Math.max(high[axis], at);
        });
      }
    }
  }
  const extent = Math.max(high[0] - low[0], high[1] - low[1]);
  if (!(extent > 0)) return [0.5, 0.5, 0.5, 1];
  return [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, 0.5, Math.min(1.6, Math.max(1, 0.93 / extent))];
}
