// Elements from code: text is always text, so nothing that a server or a file says can become markup.

/** An element. props: attributes, `on…` listeners, true for bare attributes, null or false to leave one out. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same in SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Announce something to screen readers. */
export function say(words) {
  document.getElementById("status").textContent = words;
}

/** Ask before something that cannot be undone; resolves to true or false. */
export function confirmed(question, explanation, action) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "question" },
      h("h2", { id: "question" }, question),
      h("p", {}, explanation),
      h(
        "form",
        { method: "dialog", class: "buttons" },
        h("button", { value: "no" }, "Keep"),
        h("button", { value: "yes", class: "danger" }, action),
      ),
    );
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A table of names and values: th for the names. */
export function facts(rows, kind = "") {
  return h(
    "table",
    { class: `facts ${kind}` },
    h(
      "tbody",
      {},
      rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))),
    ),
  );
}
