"use strict";
// A document of a few lines: runs the page's script with one good answer, then with none, and prints
// what each place shows.
const fs = require("fs"), vm = require("vm");
const [script, status] = process.argv.slice(2);

class Element {
  constructor() { this.children = []; this.textContent = ""; this.className = ""; this.hidden = false; }
  append(...more) { this.children.push(...more); }
  replaceChildren(...more) { this.children = more; }
  // the way of an element's own text, or of its children's
  lines() {
    return this.children.length ? this.children.flatMap((child) => child.lines()) : [this.textContent];
  }
}

const places = {};
for (const id of ["name", "updated", "headline", "firing", "cards", "events", "stale"]) {
  places[id] = new Element();
}
const document = {
  title: "",
  getElementById: (id) => places[id],
  createElement: () => new Element(),
};
let calls = 0;
const fetch = async () => {
  if (calls++) throw new Error("no network");
  return {ok: true, json: async () => JSON.parse(fs.readFileSync(status, "utf8"))};
};

function end() {
  const shown = (id) => places[id].lines().join(" | ");
  console.log(JSON.stringify({
    title: document.title, name: shown("name"), headline: shown("headline"), firing: shown("firing"),
    cards: shown("cards"), stale: places.stale.hidden ? "" : shown("stale"),
  }));
}
const setTimeout = (turn) => (calls < 2 ? setImmediate(turn) : end());
vm.runInNewContext(fs.readFileSync(script, "utf8"), {document, fetch, setTimeout, AbortSignal, Date});
