"use strict";
// Shows /status.json, again every two seconds. Texts go in as text, never as HTML.
const EVERY_MS = 2000, PATIENCE_MS = 8000;
const place = (id) => document.getElementById(id);
const clock = (ms) => new Date(ms).toLocaleTimeString();
const day = (ms) => new Date(ms).toLocaleString();
let answered = null;

function make(tag, kind, text, children = []) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function ago(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s ago`;
  if (s < 7200) return `${Math.floor(s / 60)} min ago`;
  return s < 172800 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86400)} days ago`;
}

function alarm(event, now) {
  const badge = make("span", `badge ${event.severity}`, event.severity);
  const where = event.asset ? `${event.asset}: ${event.subject}` : event.subject;
  return make("article", `card ${event.severity}`, null, [
    make("h3", "", null, [badge, make("span", "", where)]),
    make("p", "text", event.text),
    make("p", "when", `Since ${day(event.onset_ms)}, ${ago(now - event.onset_ms)}. Rule ${event.rule}.`),
  ]);
}

function firing(alarms, now) {
  if (!alarms.count) return [make("p", "", "None.")];
  const shown = alarms.firing.map((event) => alarm(event, now));
  const more = alarms.count - shown.length;
  if (more > 0) shown.push(make("p", "text", `And ${more} more.`));
  return shown;
}

function card(found) {
  const word = {ok: "in order", warning: "look", critical: "act"}[found.level];
  const parts = [
    make("h3", "", null, [make("span", `badge ${found.level}`, word), make("span", "", found.title)]),
    make("p", "text", found.text),
  ];
  if (found.hint) parts.push(make("p", "hint", found.hint));
  if (found.facts.length) {
    const rows = found.facts.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]);
    parts.push(make("dl", "facts", null, rows));
  }
  return make("article", `card ${found.level}`, null, parts);
}

function event(found) {
  const word = {firing: "Began", updated: "Changed", resolved: "Ended"}[found.status];
  const badge = make("span", `badge ${found.status === "resolved" ? "ok" : found.severity}`, word);
  return make("p", "event", null, [badge, make("span", "", `${day(found.event_ms)}  ${found.text}`)]);
}

function show(status) {
  const name = `${status.facility} / ${status.gateway}`;
  document.title = status.alarms.count ? `(${status.alarms.count}) ${name}` : name;
  place("name").textContent = name;
  place("updated").textContent = `Updated ${clock(Date.now())}, again every 2 s.`;
  const headline = place("headline");
  headline.className = `banner ${status.summary.level}`;
  if (headline.textContent !== status.summary.headline) headline.textContent = status.summary.headline;
  place("firing").replaceChildren(...firing(status.alarms, status.now_ms));
  place("cards").replaceChildren(...status.summary.cards.map(card));
  const events = status.alarms.events.map(event);
  place("events").replaceChildren(...(events.length ? events : [make("p", "", "None since the start.")]));
  place("stale").hidden = true;
}

function complain() {
  const since = answered === null ? "" : ` since ${clock(answered)}. What you see below is old`;
  const stale = place("stale");
  stale.textContent = `The gateway does not answer${since}. ` +
    "Is the box switched on, and is this device in the site's network? This page tries again by itself.";
  stale.hidden = false;
}

async function turn() {
  try {
    const answer = await fetch("/status.json", {cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS)});
    if (!answer.ok) throw new Error(String(answer.status));
    show(await answer.json());
    answered = Date.now();
  } catch {
    complain();
  }
  setTimeout(turn, EVERY_MS);
}

turn();
