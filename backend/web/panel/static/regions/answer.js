/* Answers about a whole image, or about a region: nothing is drawn, they are listed beside it. */

const LISTS = ["choices", "taxonomy", "text"];
const LONGEST = 80; // of a text, in characters: the list is no page to read
const VALUES = ["rating", "number"];
const FIELDS = [...LISTS, ...VALUES];

/** Return the names of an answer; one below others is a path. */
export function namesOf(value) {
  const names = LISTS.map((field) => value[field]).find(Array.isArray) ?? [];
  const values = VALUES.map((field) => value[field]).filter(Number.isFinite);
  return [...names.map((name) => (Array.isArray(name) ? name.join(" / ") : shortened(String(name)))), ...values.map(String)];
}

function shortened(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

export const answer = {
  name: "answer",
  isPainted: false,
  isAboutImage: true,
  fields: FIELDS,
  fits: (value) => LISTS.some((field) => Array.isArray(value[field])) || VALUES.some((field) => Number.isFinite(value[field])),
  labels: namesOf,
  outline: ({ from_name: control }) => ({ anchor: null, control }),
  draw() {},
  describe: (shape) => shape.control ?? "the image",
};
