// One case: its progress while it runs, its findings and viewer when it is done.

import * as api from "./api.js";
import { confirmed, h, say } from "./dom.js";
import { downloads, findings, headline, warnings } from "./findings.js";
import { viewerPanel } from "./panel.js";
import { final, moment, seconds, STATES } from "./words.js";

/** Draw the page of a case into `main`; returns a function that ends it. */
export function casePage(main, info, one) {
  document.title = `${one.name} · adn`;
  let stop = () => {};
  const draw = (now) => {
    stop();
    if (now.state === "done" && now.results) {
      stop = finished(main, info, now);
      say(now.results.verdict ?? "Done");
    } else if (final(now.state)) {
      main.replaceChildren(crumb(now), h("section", { class: "card narrow" }, ...ended(now), buttons(now)));
      say(STATES[now.state]);
    } else {
      stop = running(main, now, draw);
    }
  };
  draw(one);
  return () => stop();
}

const crumb = (one) => h("p", { class: "crumb" }, h("a", { href: "#/" }, "Cases"), " / ", one.name);

function running(main, one, draw) {
  const list = h("ol", { class: "steps" });
  const state = h("h1", {});
  const spent = h("p", { class: "quiet" });
  let shown = one;
  const redraw = (now) => {
    if (final(now.state)) return draw(now);
    shown = now;
    const step = now.steps.find((each) => each.state === "running");
    const words = now.state === "queued" ? "Waiting in the queue" : "Finding the infarct";
    if (state.textContent !== words) state.textContent = words;
    if (step) say(step.title);
    list.replaceChildren(...now.steps.map(stepRow));
    tick();
  };
  const tick = () => {
    const since = shown.started ?? shown.created;
    spent.textContent = `${shown.started ? "Running for" : "Waiting for"} ${seconds(Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1000)))}. You can close this page; the work goes on.`;
  };
  const timer = setInterval(tick, 1000);
  const end = api.watch(one.id, redraw, (gone) => {
    if (gone)
      window.dispatchEvent(new HashChangeEvent("hashchange")); // fetch again, and show what is wrong
    else spent.textContent = "The server does not answer at the moment; trying again.";
  });
  main.replaceChildren(crumb(one), h("section", { class: "card narrow" }, state, list, spent, buttons(one)));
  redraw(one);
  return () => {
    clearInterval(timer);
    end();
  };
}

function stepRow(step) {
  const mark = { done: "✓", running: "", waiting: "" }[step.state];
  const words = { done: "done", running: "running", waiting: "waiting" }[step.state];
  return h(
    "li",
    { class: step.state, "aria-current": step.state === "running" ? "step" : null },
    h("span", { class: "mark", "aria-hidden": true }, mark),
    h("span", {}, step.title),
    h("span", { class: "quiet" }, step.state === "done" && step.seconds !== null ? seconds(step.seconds) : words),
  );
}

function ended(one) {
  const words =
    one.state === "cancelled"
      ? "No results were kept."
      : (one.error?.detail ?? "It stopped for an unknown reason; see the server's log.");
  const head = one.state === "cancelled" ? "Cancelled" : (one.error?.title ?? "Processing failed");
  return [h("h1", {}, head), h("p", {}, words)];
}

function buttons(one) {
  const act = (what, doing, then) => async () => {
    for (const each of row.querySelectorAll("button")) each.disabled = true;
    message.textContent = doing; // a running case is stopped first, which takes a moment
    try {
      await what(one.id);
      then?.();
    } catch (error) {
      message.textContent = error.message;
      for (const each of row.querySelectorAll("button")) each.disabled = false;
    }
  };
  const home = () => {
    location.hash = "#/";
  };
  const erase = async () => {
    const sure = await confirmed(
      `Delete ${one.name}?`,
      "Its scan and results will be deleted from this computer.",
      "Delete",
    );
    if (sure) await act(api.remove, "Deleting …", home)();
  };
  const message = h("span", { class: "quiet", role: "status" });
  const row = h(
    "p",
    { class: "buttons" },
    final(one.state) ? null : h("button", { onclick: act(api.cancel, "Cancelling …") }, "Cancel"),
    one.read_only || !final(one.state) ? null : h("button", { class: "danger", onclick: erase }, "Delete this case"),
    h("a", { class: "button", href: "#/" }, "All cases"),
    message,
  );
  return row;
}

function finished(main, info, one) {
  const panel = viewerPanel(info, one);
  main.replaceChildren(
    crumb(one),
    headline(one),
    h("div", { class: "case" }, warnings(one), findings(one), panel.element),
    h("div", { class: "below" }, downloads(one), about(one)),
    buttons(one),
  );
  panel.start();
  return panel.close;
}

function about(one) {
  const { results } = one;
  const spent = Object.values(results.seconds ?? {}).reduce((sum, part) => sum + part, 0);
  return h(
    "section",
    { class: "card", "aria-labelledby": "about" },
    h("h2", { id: "about" }, "How it was made"),
    h(
      "dl",
      {},
      ...[
        ["Weights", `${results.weights} (recipe ${results.recipe})`],
        ["Version", `adn ${results.adn_version}`],
        ["Computed", one.finished ? `${moment(one.finished)}, in ${seconds(spent)}` : seconds(spent)],
        [
          "Voxels",
          `${results.grid.shape.join(" × ")}, ${results.grid.spacing_mm.map((mm) => mm.toFixed(2)).join(" × ")} mm`,
        ],
      ].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    ),
  );
}
