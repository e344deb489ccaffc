/* Answers about a whole image, or about a region: nothing is drawn, they are listed beside it. */

const LISTS = ["choices", "taxonomy"];
const VALUES = ["rating", "number"];
const FIELDS = [...LISTS, ...VALUES];

/** Return the names of an answer; one below others is a path. */
export function namesOf(value) {
  const names = LISTS.map((field) => value[field]).find(Array.isArray) ?? [];
  const values = VALUES.map((field) => value[field]).filter(Number.isFinite);
  return [...names.map((name) => (Array.isArray(name) ? name.join(" / ") : String(name))), ...values.map(String)];
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
