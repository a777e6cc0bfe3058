// The search of the site: Sphinx's own scores, with lab notes after the pages of the documentation.
var Scorer = {
  score: ([page, title, anchor, description, score]) => (page.startsWith("lab/") ? score - 100 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
