// The slider moves the strip, and the strip the slider. Without this script the strip is scrolled.
const strip = document.getElementById("strip");
const slider = document.getElementById("slider");
const place = document.getElementById("place");
const figures = [...strip.children];
const pitch = () => (figures.length > 1 ? figures[1].offsetLeft - figures[0].offsetLeft : 1);
function say(number) {
  const words = figures[number].querySelector("figcaption").textContent.trim();
  place.textContent = words;
  slider.setAttribute("aria-valuetext", words);
}
slider.max = figures.length - 1;
slider.addEventListener("input", () => {
  strip.scrollTo({ left: slider.value * pitch(), behavior: "instant" });
  say(Number(slider.value));
});
strip.addEventListener("scroll", () => {
  const number = Math.min(Math.max(Math.round(strip.scrollLeft / pitch()), 0), figures.length - 1);
  if (Math.abs(number - slider.value) > 0 && document.activeElement !== slider) {
    slider.value = number;
    say(number);
  }
});
document.getElementById("browse").hidden = false;
const first = Math.max(figures.findIndex((figure) => figure.dataset.largest), 0);
slider.value = first;
strip.scrollLeft = first * pitch();
say(first);
