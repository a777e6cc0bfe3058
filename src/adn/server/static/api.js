// The server's API (docs/server.md). Every failure is an Error whose message can be shown as it is.

/** A failed response: RFC 9457 problem details, or a plain sentence. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

function problem(status, text) {
  try {
    const { title, detail } = JSON.parse(text);
    return new Problem(status, title ?? `Error ${status}`, detail);
  } catch {
    return new Problem(status, `Error ${status}`, "The server sent an unexpected answer.");
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(`/api${path}`, options);
  } catch {
    throw new Problem(0, "No answer", "The server does not answer. Is it still running?");
  }
  if (!response.ok) throw problem(response.status, await response.text());
  return response.status === 204 ? null : response.json();
}

const at = (id) => `/cases/${encodeURIComponent(id)}`;

export const info = () => ask("/info");
export const cases = () => ask("/cases");
export const oneCase = (id) => ask(at(id));
export const cancel = (id) => ask(`${at(id)}/cancel`, { method: "POST" });
export const remove = (id) => ask(at(id), { method: "DELETE" });
/** Save a corrected mask beside the original. packed: a Blob, gzip of one byte per voxel. */
export const correct = (id, packed) =>
  ask(`${at(id)}/corrections`, { method: "POST", body: packed, headers: { "Content-Type": "application/octet-stream" } });
/** ASPECTS of a mask being painted, packed in the same way. */
export const score = (id, packed) =>
  ask(`${at(id)}/aspects`, { method: "POST", body: packed, headers: { "Content-Type": "application/octet-stream" } });
export const fileAddress = (id, name) => `/api${at(id)}/files/${encodeURIComponent(name)}`;

/**
 * Calls `changed` with the case each time it changes; ends by itself when the case is final. Returns a stop function.
 * trouble: called if the connection breaks, with whether it is broken for good (otherwise the browser retries).
 */
export function watch(id, changed, trouble) {
  const source = new EventSource(`/api${at(id)}/events`);
  source.addEventListener("case", (event) => {
    const found = JSON.parse(event.data);
    if (["done", "failed", "cancelled"].includes(found.state)) source.close();
    changed(found);
  });
  source.addEventListener("error", () => trouble(source.readyState === EventSource.CLOSED));
  return () => source.close();
}

/** Upload one group of files. progress: called with the share sent, 0 to 1 (which fetch cannot report). */
export function upload(group, dicomSeg, progress) {
  const form = new FormData();
  group.files.forEach((file, index) => form.append("files", file, group.name(index)));
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/cases${dicomSeg ? "?dicom_seg=true" : ""}`);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText));
      else reject(problem(request.status, request.responseText));
    });
    request.addEventListener("error", () => reject(new Problem(0, "No answer", "The upload was interrupted.")));
    request.send(form);
  });
}
