// What was dropped or chosen → groups of files, one group per case. Names stay on this computer: files are sent under
// names made here, because the names of scans often contain those of patients.

const HIDDEN = /(^|\/)(\.|__MACOSX|DICOMDIR$|Thumbs\.db$)/i;

/** NIfTI files and zips are a case each; all other files together are one DICOM series or study. */
export function groups(files) {
  const found = [];
  const rest = [];
  for (const file of files) {
    const name = file.name.toLowerCase();
    if (HIDDEN.test(file.webkitRelativePath || file.name)) continue;
    const ending = [".nii.gz", ".nii", ".zip"].find((end) => name.endsWith(end));
    if (ending) found.push({ files: [file], name: () => `scan${ending}`, kind: ending === ".zip" ? "zip" : "NIfTI" });
    else rest.push(file);
  }
  if (rest.length) {
    const name = (index) => `dicom/${String(index + 1).padStart(6, "0")}.dcm`;
    found.push({ files: rest, name, kind: "DICOM" });
  }
  return found;
}

/** All files of a drop, including those in folders. */
export async function dropped(transfer) {
  // The entries must be asked for at once: after the first wait the transfer is empty.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry) {
  if (HIDDEN.test(entry.name)) return [];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const inside = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at most each time
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(walk))).flat();
}
