/* Answers about a whole image: nothing is drawn, they are listed beside the picture. */

const FIELDS = ["choices", "taxonomy"];

/** Return the names of an answer; one below others is a path. */
function namesOf(value) {
  const names = FIELDS.map((field) => value[field]).find(Array.isArray) ?? [];
  return names.map((name) => (Array.isArray(name) ? name.join(" / ") : String(name)));
}

export const answer = {
  name: "answer",
  isPainted: false,
  isAboutImage: true,
  fields: FIELDS,
  fits: (value) => FIELDS.some((field) => Array.isArray(value[field])),
  labels: namesOf,
  outline: ({ from_name: control }) => ({ anchor: null, control }),
  draw() {},
  describe: (shape) => shape.control ?? "the image",
};
