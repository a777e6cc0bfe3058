// Which page is shown: the address after # holds the case, so a reload or a bookmark comes back to it.

import * as api from "./api.js";
import { h } from "./dom.js";
import { casePage } from "./case.js";
import { startPage } from "./start.js";

const main = document.getElementById("main");
let leave = () => {};
let turn = 0;

async function show() {
  leave();
  leave = () => {};
  const mine = ++turn;
  const id = /^#\/case\/(.+)$/.exec(location.hash)?.[1];
  main.replaceChildren(h("p", { class: "quiet" }, "Loading …"));
  if (id) import("./viewer.js").catch(() => {}); // large: loads while the case is being fetched
  try {
    const [info, found] = await Promise.all([api.info(), id ? api.oneCase(decodeURIComponent(id)) : api.cases()]);
    if (mine !== turn) return; // the reader has moved on
    leave = id ? casePage(main, info, found) : startPage(main, info, found);
  } catch (error) {
    if (mine !== turn) return;
    document.title = "adn";
    main.replaceChildren(failure(error));
  }
}

function failure(error) {
  const locked = error.status === 401 || error.status === 403;
  const words = locked ? "Open the address, with its token, that adn serve printed." : error.message;
  return h(
    "section",
    { class: "card" },
    h("h1", {}, error.title ?? "Something went wrong"),
    h("p", {}, words),
    h("p", {}, h("a", { href: "#/" }, "All cases")),
  );
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after # is the case's
  main.focus();
});
for (const kind of ["dragover", "drop"]) {
  window.addEventListener(kind, (event) => event.preventDefault()); // a file dropped beside the zone would be opened
}
window.addEventListener("hashchange", async () => {
  await show();
  main.focus({ preventScroll: true }); // the focused element is gone
  window.scrollTo(0, 0);
});
show();
