// One slider for all scans: it shows one row of slices at a time. Without this script all rows are shown.
const rows = [...document.querySelectorAll(".row")];
const slider = document.getElementById("slider");
const place = document.getElementById("place");
function show(number) {
  rows.forEach((row, index) => row.classList.toggle("now", index === number));
  place.textContent = rows[number].dataset.slice;
  slider.setAttribute("aria-valuetext", place.textContent);
}
document.getElementById("rows").classList.add("one");
document.getElementById("browse").hidden = false;
slider.addEventListener("input", () => show(Number(slider.value)));
const areas = rows.map((row) => Number(row.dataset.area));
const first = Math.max(areas.indexOf(Math.max(...areas)), 0);
slider.value = first;
show(first);
