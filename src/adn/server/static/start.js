// The start page: a place to drop scans, and the cases so far.

import * as api from "./api.js";
import { confirmed, h, say } from "./dom.js";
import { dropped, groups } from "./intake.js";
import { bytes, final, moment, side, STATES, volume } from "./words.js";

const EVERY_MS = 2000; // while something runs

/** Draw the start page into `main`; returns a function that ends it. */
export function startPage(main, info, found) {
  document.title = "adn";
  const list = h("div", {});
  let timer = 0;
  let ended = false;

  const draw = (cases) => {
    // Redrawing would take the focus away from a button, so only what changed is redrawn.
    const text = JSON.stringify(cases);
    if (list.dataset.shown !== text) {
      list.dataset.shown = text;
      list.replaceChildren(caseList(cases, refresh));
    }
    clearTimeout(timer);
    if (!ended && cases.some((one) => !final(one.state))) timer = setTimeout(() => refresh(), EVERY_MS);
  };
  const refresh = async (anew = false) => {
    try {
      const cases = await api.cases();
      if (anew) delete list.dataset.shown;
      if (!ended) draw(cases);
    } catch (error) {
      say(error.message);
      if (!ended) timer = setTimeout(() => refresh(), 5 * EVERY_MS);
    }
  };

  main.replaceChildren(
    h("h1", {}, info.uploads === false ? "Results" : "Find an infarct"),
    ...(info.uploads === false ? [] : [dropZone(info), h("h2", {}, "Cases")]),
    list,
  );
  draw(found);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

function dropZone(info) {
  const message = h("p", { class: "message", role: "alert" });
  const meter = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
  const seg = h("input", { type: "checkbox", id: "seg" });
  const pick = (props) =>
    h("input", { type: "file", hidden: true, ...props, onchange: (event) => send([...event.target.files]) });
  const oneFile = pick({ accept: ".nii,.gz,.zip", multiple: true });
  const folder = pick({ webkitdirectory: true });

  async function send(files) {
    const found = groups(files);
    message.textContent = "";
    if (!found.length) {
      message.textContent =
        "Found nothing to upload: a NIfTI file, a folder of DICOM files or a zip of either is needed.";
      return;
    }
    const size = found.flatMap((group) => group.files).reduce((sum, file) => sum + file.size, 0);
    const limit = info.limits?.upload_mb;
    if (limit && found.some((group) => group.files.reduce((sum, file) => sum + file.size, 0) > limit * 2 ** 20)) {
      message.textContent = `A scan may be at most ${limit} MB; this one is ${bytes(size)}.`;
      return;
    }
    meter.hidden = false;
    try {
      let last;
      for (const [index, group] of found.entries()) {
        say(`Uploading ${group.kind}, ${bytes(size)}`);
        last = await api.upload(group, seg.checked && group.kind !== "NIfTI", (part) => {
          meter.value = (index + part) / found.length;
        });
      }
      location.hash = found.length === 1 ? `#/case/${encodeURIComponent(last.id)}` : "#/";
      if (found.length > 1) window.dispatchEvent(new HashChangeEvent("hashchange"));
    } catch (error) {
      message.textContent = error.message;
    } finally {
      meter.hidden = true;
    }
  }

  const zone = h(
    "section",
    { class: "drop", "aria-labelledby": "drop" },
    h("h2", { id: "drop" }, "Drop a head CT here"),
    h(
      "p",
      {},
      "A NIfTI file, a folder of DICOM files, or a zip. It stays on the computer that runs this server; file names are not sent.",
    ),
    h(
      "p",
      { class: "buttons" },
      h("button", { class: "main", onclick: () => oneFile.click() }, "Choose file"),
      h("button", { onclick: () => folder.click() }, "Choose DICOM folder"),
    ),
    h(
      "label",
      { class: "check" },
      seg,
      "Also write DICOM SEG and SR (for DICOM scans; both contain the patient's name, to join the study)",
    ),
    oneFile,
    folder,
    meter,
    message,
  );
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    try {
      await send(await dropped(event.dataTransfer));
    } catch {
      message.textContent = "What was dropped could not be read.";
    }
  });
  return zone;
}

function caseList(cases, refresh) {
  if (!cases.length) return h("p", { class: "quiet" }, "None yet.");
  return h(
    "ul",
    { class: "cases" },
    cases.map((one) => caseRow(one, refresh)),
  );
}

function caseRow(one, refresh) {
  const act = (what, doing) => async () => {
    for (const each of row.querySelectorAll("button")) each.disabled = true;
    row.querySelector(".state").textContent = doing; // a running case is stopped first, which takes a moment
    say(doing);
    try {
      await what();
    } catch (error) {
      say(error.message);
    }
    refresh(true);
  };
  const erase = async () => {
    const sure = await confirmed(
      `Delete ${one.name}?`,
      "Its scan and results will be deleted from this computer.",
      "Delete",
    );
    if (sure) await act(() => api.remove(one.id), "Deleting …")();
  };
  const button = (text, action, kind) =>
    h("button", { class: kind, onclick: action, "aria-label": `${text} ${one.name}` }, text);
  const row = h(
    "li",
    {},
    h("a", { href: `#/case/${encodeURIComponent(one.id)}` }, one.name),
    h("span", { class: `state ${one.state}` }, STATES[one.state] ?? one.state),
    h("span", { class: "result" }, outcome(one)),
    h("time", { datetime: one.created, class: "quiet" }, moment(one.created)),
    h(
      "span",
      { class: "buttons" },
      final(one.state)
        ? null
        : button(
            "Cancel",
            act(() => api.cancel(one.id), "Cancelling …"),
          ),
      one.read_only ? null : button("Delete", erase, "danger"),
    ),
  );
  return row;
}

function outcome(one) {
  if (one.state === "done" && one.results) {
    const { results } = one;
    return results.side === "none" ? "No infarct marked" : `${volume(results.volume_ml)}, ${side(results)}`;
  }
  if (one.state === "failed") return one.error?.title ?? "";
  return one.steps?.find((step) => step.state === "running")?.title ?? "";
}
