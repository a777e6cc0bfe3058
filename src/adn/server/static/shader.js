// How one point of a slice is painted: scan, colour map above it, and the infarct above both, so that its contour stays
// sharp at every zoom and is not dimmed by a map. (NiiVue's own shader draws its contours below the maps.)

import { BRAIN, INFARCT } from "./colours.js";

const rgb = (colour) => [1, 3, 5].map((at) => (Number.parseInt(colour.slice(at, at + 2), 16) / 255).toFixed(4)).join(", ");
const [mark, outline] = [INFARCT, BRAIN].map(rgb);

/**
 * GLSL for `Niivue.setCustomSliceShader`. Of the numbers that NiiVue hands over, overlayAlphaShader is the filling of the
 * infarct here and drawRimOpacity its contour; drawOpacity is left to the 3D view. pixels: thickness of the contour on the
 * screen, drawn inside the mask. Of a voxel's number in the drawing, the first bit is the infarct, the second the brain.
 */
export const sliceShader = (pixels) => `#version 300 es
precision highp int;
precision highp float;
uniform highp sampler3D volume;
uniform highp sampler3D overlay;
uniform highp sampler3D drawing;
uniform float overlays;
uniform float opacity;
uniform float overlayAlphaShader;
uniform float drawRimOpacity;
in vec3 texPos;
out vec4 color;
float bits(vec3 at) { return floor(255.0 * texture(drawing, at).r + 0.5); }
float inside(vec3 at) { return mod(bits(at), 2.0); }
float brain(vec3 at) { return step(1.5, bits(at)); }
void main() {
  vec3 x = ${pixels.toFixed(2)} * dFdx(texPos);
  vec3 y = ${pixels.toFixed(2)} * dFdy(texPos);
  color = vec4(texture(volume, texPos).rgb, opacity);
  if (overlays > 0.0) {
    vec4 over = texture(overlay, texPos);
    color.rgb = mix(color.rgb, over.rgb, over.a);
  }
  if (brain(texPos) > 0.5 && brain(texPos + x) * brain(texPos - x) * brain(texPos + y) * brain(texPos - y) < 0.5) {
    color.rgb = mix(color.rgb, vec3(${outline}), 0.9);
  }
  if (inside(texPos) < 0.5) return;
  float around = inside(texPos + x) * inside(texPos - x) * inside(texPos + y) * inside(texPos - y)
    * inside(texPos + 0.7 * (x + y)) * inside(texPos - 0.7 * (x + y))
    * inside(texPos + 0.7 * (x - y)) * inside(texPos - 0.7 * (x - y));
  color.rgb = mix(color.rgb, vec3(${mark}), around > 0.5 ? overlayAlphaShader : max(drawRimOpacity, overlayAlphaShader));
}
`;
