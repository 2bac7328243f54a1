// The web page of an agent: reads the HTTP API and shows it, live. No framework, no build; text is never parsed as HTML.
"use strict";

import { figure, last, sparkline } from "./charts.js";
import { configured, dashboard, provider } from "./metrics.js";

const meta = (name) => document.querySelector(`meta[name="meshagent-${name}"]`).content;
const base = meta("path");
const local = meta("datacenter");
const TOKEN = "meshagent:token";

// --- asking -------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, text) {
    super(text || `HTTP ${status}`);
    this.status = status;
  }
}

let leaving = new AbortController(); // of the page that is shown

async function ask(method, path, { query = {}, body, signal = leaving.signal, missing } = {}) {
  const address = new URL(`/v1/${path}`, location.origin);
  if (datacenter() !== local) query = { dc: datacenter(), ...query };
  for (const [name, value] of Object.entries(query)) address.searchParams.set(name, value);
  const token = localStorage.getItem(TOKEN);
  const answer = await fetch(address, { method, body, signal, headers: token ? { "X-Consul-Token": token } : {} });
  if (answer.status === 404 && missing !== undefined) return { value: missing, index: answer.headers.get("X-Consul-Index") };
  if (!answer.ok) throw new Refused(answer.status, await answer.text());
  const text = await answer.text();
  return { value: text ? JSON.parse(text) : null, index: answer.headers.get("X-Consul-Index") };
}

// Calls `show` with what `path` answers, and again after each change, until the page is left.
async function follow(path, show, options = {}) {
  const signal = leaving.signal;
  let index = null;
  let pause = 1000;
  while (!signal.aborted) {
    try {
      const query = { ...options.query, ...(index ? { index, wait: "55s" } : {}) };
      const answer = await ask("GET", path, { ...options, query, signal });
      if (answer.index !== index || index === null) show(answer.value);
      index = Number(answer.index) > 0 ? answer.index : null;
      pause = 1000;
      if (index === null) await sleep(5000, signal);
      problem(null);
    } catch (error) {
      if (signal.aborted) return;
      problem(error);
      if (error.status === 403 || error.status === 400) return;
      index = null;
      await sleep(pause, signal);
      pause = Math.min(pause * 2, 30000);
    }
  }
}

function sleep(milliseconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
  });
}

// --- making elements ----------------------------------------------------------------------------------------------

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

const link = (path, ...children) => make("a", { href: base + path, "data-here": true }, ...children);
const dot = (state) => make("span", { class: `dot ${state}`, title: state, role: "img", "aria-label": state });
const tags = (all) => (all ?? []).map((tag) => make("span", { class: "tag" }, tag));
const pairs = (map) => Object.entries(map ?? {}).map(([key, value]) => make("span", { class: "tag" }, `${key}=${value}`));
const empty = (text) => make("p", { class: "empty" }, text);
const worst = (states) => ["critical", "warning"].find((state) => states.includes(state)) ?? "passing";
const seg = encodeURIComponent;

function table(heads, rows, nothing) {
  if (!rows.length) return empty(nothing);
  const cell = (name) => (head, at) => make(name, { class: heads[at].startsWith("#") ? "number" : null }, head);
  return make(
    "table", null,
    make("thead", null, make("tr", null, heads.map((head, at) => cell("th")(head.replace("#", ""), at)))),
    make("tbody", null, rows.map((row) => make("tr", null, row.map(cell("td"))))),
  );
}

// A list with a search box: what is typed must stand in what `text` says of a row.
function searched(box, rows, text, draw) {
  const wanted = box.value.trim().toLowerCase().split(/\s+/);
  return draw(rows.filter((row) => wanted.every((word) => text(row).toLowerCase().includes(word))));
}

// --- the page -----------------------------------------------------------------------------------------------------

const page = document.getElementById("page");

function problem(error) {
  document.getElementById("problem")?.remove();
  if (!error) return;
  const denied = error.status === 403;
  const text = denied ? `${error.message}. Give a token that may read this, at the top right.` : `${error.message}`;
  page.prepend(make("div", { class: "problem", id: "problem", role: "alert" }, text));
}

function show(title, ...children) {
  document.title = `${title} · meshagent`;
  page.replaceChildren(make("h1", null, title), ...children.flat(Infinity).filter(Boolean));
}

const datacenter = () => decodeURIComponent(location.pathname.slice(base.length).split("/")[0]) || local;
const at = (...parts) => [datacenter(), ...parts].map(seg).join("/");

function top(current) {
  const kinds = { services: "Services", nodes: "Nodes", kv: "Key/Value", intentions: "Intentions" };
  const token = make("input", { type: "password", placeholder: "ACL token", "aria-label": "ACL token", autocomplete: "off", size: 12 });
  token.value = localStorage.getItem(TOKEN) ?? "";
  const keep = (event) => {
    event.preventDefault();
    if (token.value) localStorage.setItem(TOKEN, token.value);
    else localStorage.removeItem(TOKEN);
    go();
  };
  document.getElementById("top").replaceChildren(
    link(at("services"), make("span", { class: "name" }, "meshagent")),
    make("span", { class: "dc" }, datacenter()),
    make("nav", null, Object.entries(kinds).map(([path, name]) => {
      const item = link(at(path), name);
      if (path === current) item.setAttribute("aria-current", "page");
      return item;
    })),
    make("form", { onsubmit: keep }, token, " ", make("button", null, "Use")),
  );
}

// --- services -----------------------------------------------------------------------------------------------------

const state = (row) => (row.ChecksCritical ? "critical" : row.ChecksWarning ? "warning" : "passing");

function services() {
  const box = make("input", { type: "search", placeholder: "Search names, tags and kinds", autofocus: true });
  const list = make("div");
  const counts = make("div", { class: "counts" });
  show("Services", counts, make("form", { class: "row", onsubmit: (event) => event.preventDefault() }, box), list);
  let rows = [];
  const draw = () => list.replaceChildren(searched(box, rows, (row) => [row.Name, row.Kind, ...(row.Tags ?? [])].join(" "), (found) => table(
    ["Name", "Kind", "#Instances", "#Passing", "#Warning", "#Critical", "Tags"],
    found.map((row) => [
      [dot(state(row)), link(at("services", row.Name), row.Name)], row.Kind ?? "", row.InstanceCount,
      row.ChecksPassing, row.ChecksWarning, row.ChecksCritical, tags(row.Tags),
    ]),
    rows.length ? "No service is called so." : "No service is registered yet.",
  )));
  box.addEventListener("input", draw);
  follow("internal/ui/services", (found) => {
    rows = found ?? [];
    const of = (wanted) => rows.filter((row) => state(row) === wanted).length;
    counts.replaceChildren(...["passing", "warning", "critical"].map((wanted) =>
      make("span", null, dot(wanted), make("b", null, of(wanted)), wanted)));
    draw();
  });
}

function service(name) {
  const board = dashboard(name, datacenter());
  const elsewhere = board && make("p", null, make("a", { href: board, rel: "noopener noreferrer", target: "_blank" }, "Open dashboard"));
  const instances = make("div", null, empty("…"));
  const traffic = make("div");
  const around = make("div");
  const rules = make("div");
  const behind = make("div");
  show(name, elsewhere, traffic, instances, behind, around, rules);
  let topology = null;
  let edgeCharts = null;
  const measure = configured ? measured(name, () => topology?.Protocol, traffic, (found) => { edgeCharts = found; drawEdges(); }) : null;
  let gateway = false;
  follow(`health/service/${seg(name)}`, (rows) => {
    if (!gateway && rows[0]?.Service.Kind?.endsWith("-gateway")) {
      gateway = true;
      follow(`internal/ui/gateway-services-nodes/${seg(name)}`, leadsTo);
    }
    instances.replaceChildren(table(
      ["Instance", "Node", "Address", "Tags", "Checks"],
      rows.map(({ Node, Service, Checks }) => [
        [dot(worst(Checks.map((check) => check.Status))), Service.ID],
        link(at("nodes", Node.Node), Node.Node),
        `${Service.Address || Node.Address}:${Service.Port || 0}`,
        [tags(Service.Tags), pairs(Service.Meta)],
        Checks.map(checkLine),
      ]),
      "It has no instances.",
    ));
  });
  const leadsTo = (rows) => behind.replaceChildren(...(rows?.length ? [make("h2", null, "Leads to"), table(
    ["Service", "Instances", "Asked for as"],
    rows.map((row) => [
      [dot(state(row)), link(at("services", row.Name), row.Name)],
      String(row.InstanceCount),
      (row.GatewayConfig.Addresses ?? []).join(", "),
    ]),
    "",
  )] : []));
  const cell = (charts) => (charts ?? []).map(edgeFigure);
  const edges = (title, rows, word, charts) => rows.length && [
    make("h2", null, title),
    table(["Service", "Connection", "Known by", ...(configured ? ["Traffic"] : [])], rows.map((row) => [
      [dot(state(row)), link(at("services", row.Name), row.Name)],
      make("span", { class: row.Intention.Allowed ? "allow" : "deny" },
        row.Intention.HasPermissions ? "by request" : row.Intention.Allowed ? "allowed" : "denied"),
      make("span", { class: "soft" }, row.Source.replaceAll("-", " ")),
      ...(configured ? [make("div", { class: "figures" }, cell(charts?.get(row.Name)))] : []),
    ]), word),
  ];
  function drawEdges() {
    if (!topology) return;
    around.replaceChildren(...[
      edges("Calls", topology.Upstreams, "", edgeCharts?.upstreams),
      edges("Is called by", topology.Downstreams, "", edgeCharts?.downstreams),
    ].flat(2).filter(Boolean));
  }
  follow(`internal/ui/service-topology/${seg(name)}`, (found) => {
    const first = topology === null;
    topology = found;
    drawEdges();
    if (first) measure?.();
  }, { query: { kind: "" } });
  follow("connect/intentions", (found) => {
    const mine = (found ?? []).filter((one) => [one.SourceName, one.DestinationName].some((who) => who === name || who === "*"));
    rules.replaceChildren(make("h2", null, "Intentions"), intentionTable(mine));
  });
}

// Draws the charts of a service now and every 15 seconds, and hands those of its edges to `onEdges`.
function measured(name, protocol, box, onEdges) {
  const signal = leaving.signal;
  const asked = async (path, query) => (await ask("GET", path, { query, signal })).value;
  return async () => {
    while (!signal.aborted) {
      try {
        const source = await provider(base, asked);
        const [own, edges] = await Promise.all([source.service(name, protocol()), source.edges(name, protocol())]);
        if (signal.aborted) return;
        box.replaceChildren(make("div", { class: "charts" }, (own.charts ?? []).map(chart), (own.stats ?? []).map(stat)));
        onEdges(edges);
      } catch (error) {
        if (signal.aborted) return;
        box.replaceChildren(make("p", { class: "soft" }, `No metrics: ${error.message}`));
        if (error.status === 403 || error.status === 404) return;
      }
      await sleep(15000, signal);
    }
  };
}

const chart = ({ label, unit, tone, points }) => make("figure", { class: "chart" },
  make("figcaption", null, label, make("b", null, figure(last(points), unit))),
  points?.length ? sparkline(points, { label, unit, tone }) : make("span", { class: "soft" }, "no traffic in 15 minutes"));
const stat = ({ label, desc, value }) => make("figure", { class: "chart", title: desc }, make("figcaption", null, label, make("b", null, value)));
const edgeFigure = (one) => make("span", { class: "figure", title: one.desc ?? one.label },
  one.points ? sparkline(one.points, { ...one, width: 90, height: 22 }) : null,
  make("b", null, one.points ? figure(last(one.points), one.unit) : one.value ?? "–"), make("span", { class: "soft" }, one.label));

function checkLine(check) {
  return make("details", { class: check.Status }, make("summary", null, dot(check.Status), check.Name || check.CheckID),
    make("pre", null, check.Output || check.Notes || "no output"));
}

// --- nodes --------------------------------------------------------------------------------------------------------

function nodes() {
  const box = make("input", { type: "search", placeholder: "Search names, addresses and metadata", autofocus: true });
  const list = make("div");
  show("Nodes", make("form", { class: "row", onsubmit: (event) => event.preventDefault() }, box), list);
  let rows = [];
  const text = (row) => [row.Node, row.Address, ...Object.entries(row.Meta ?? {}).flat()].join(" ");
  const draw = () => list.replaceChildren(searched(box, rows, text, (found) => table(
    ["Node", "Address", "#Services", "#Checks", "Metadata"],
    found.map((row) => [
      [dot(worst(row.Checks.map((check) => check.Status))), link(at("nodes", row.Node), row.Node)],
      row.Address, row.Services.length, row.Checks.length, pairs(row.Meta),
    ]),
    "No node is called so.",
  )));
  box.addEventListener("input", draw);
  follow("internal/ui/nodes", (found) => { rows = found ?? []; draw(); });
}

function node(name) {
  const body = make("div", null, empty("…"));
  show(name, body);
  follow(`internal/ui/node/${seg(name)}`, (row) => {
    if (!row) return body.replaceChildren(empty("There is no such node."));
    body.replaceChildren(
      make("p", null, row.Address, " ", pairs(row.Meta)),
      make("h2", null, "Services"),
      table(["Service", "Instance", "Port", "Tags"], row.Services.map((one) => [
        link(at("services", one.Service), one.Service), one.ID, String(one.Port || 0), tags(one.Tags)]), "Nothing runs here."),
      make("h2", null, "Checks"),
      table(["Check", "Service"], row.Checks.map((check) => [checkLine(check), check.ServiceName || make("span", { class: "soft" }, "node")]), "It has no checks."),
    );
  }, { missing: null });
}

// --- keys ---------------------------------------------------------------------------------------------------------

function kv(parts) {
  const key = parts.map(decodeURIComponent).join("/");
  if (key && !key.endsWith("/")) return value(key);
  const name = make("input", { placeholder: `New key under ${key || "/"}`, required: true });
  const open = (event) => { event.preventDefault(); visit(at("kv") + "/" + (key + name.value).split("/").map(seg).join("/")); };
  const list = make("div");
  show("Key/Value", crumbs(key), make("form", { class: "row", onsubmit: open }, name, make("button", null, "Open")), list);
  follow(`kv/${key.split("/").map(seg).join("/")}`, (keys) => list.replaceChildren(table(
    ["Name"], (keys ?? []).filter((one) => one !== key).map((one) => [keyLink(one, one.slice(key.length))]), "There is nothing under this prefix.",
  )), { query: { keys: "", separator: "/" }, missing: [] });
}

const keyLink = (key, text) => link(`${at("kv")}/${key.split("/").map(seg).join("/")}`, text);

function crumbs(key) {
  const parts = key.split("/").filter(Boolean);
  const links = parts.map((part, index) => [" / ", keyLink(parts.slice(0, index + 1).join("/") + "/", part)]);
  return make("p", null, link(at("kv") + "/", "all keys"), links);
}

async function value(key) {
  const area = make("textarea", { spellcheck: "false", "aria-label": `value of ${key}` });
  const about = make("p", { class: "soft" });
  const folder = key.includes("/") ? key.slice(0, key.lastIndexOf("/") + 1) : "";
  const path = `kv/${key.split("/").map(seg).join("/")}`;
  const back = () => visit(`${at("kv")}/${folder.split("/").map(seg).join("/")}`);
  let cas = 0;
  const save = async () => {
    const { value: written } = await ask("PUT", path, { query: { cas }, body: area.value });
    if (!written) throw new Error("Somebody else has changed this key meanwhile: open it again.");
    back();
  };
  const remove = async () => { if (confirm(`Delete ${key}?`)) { await ask("DELETE", path, { query: { cas } }); back(); } };
  const button = (text, action, main) => make("button", { type: "button", class: main ? "main" : null, onclick: () => action().catch(problem) }, text);
  show(key, crumbs(folder), area, about, make("p", null, button("Save", save, true), " ", button("Delete", remove)));
  try {
    const { value: rows } = await ask("GET", path, { missing: [] });
    if (!rows.length) return;
    const [row] = rows;
    cas = row.ModifyIndex;
    const bytes = Uint8Array.from(atob(row.Value ?? ""), (char) => char.charCodeAt(0));
    area.value = new TextDecoder().decode(bytes);
    const binary = area.value.includes("\ufffd");
    area.disabled = binary;
    about.textContent = `${bytes.length} bytes, flags ${row.Flags}, changed at index ${row.ModifyIndex}`
      + (row.Session ? `, locked by session ${row.Session}` : "") + (binary ? ". It is no text and cannot be edited here." : "");
  } catch (error) {
    problem(error);
  }
}

// --- intentions ---------------------------------------------------------------------------------------------------

function intentionTable(rows) {
  const remove = (one) => async () => {
    if (!confirm(`Delete the intention ${one.SourceName} → ${one.DestinationName}?`)) return;
    await ask("DELETE", "connect/intentions/exact", { query: { source: one.SourceName, destination: one.DestinationName } });
  };
  return table(["Source", "", "Destination", "#Precedence", ""], rows.map((one) => [
    one.SourceName, make("span", { class: one.Action || "soft" }, one.Action || "by request"), one.DestinationName, one.Precedence,
    make("button", { type: "button", onclick: () => remove(one)().catch(problem) }, "Delete"),
  ]), "There are no intentions: the default decides.");
}

function intentions() {
  const [source, destination] = ["Source, or *", "Destination, or *"].map((placeholder) => make("input", { placeholder, required: true }));
  const action = make("select", { "aria-label": "action" }, ["allow", "deny", "audit"].map((word) => make("option", null, word)));
  const list = make("div");
  const create = async () => {
    const query = { source: source.value, destination: destination.value };
    await ask("PUT", "connect/intentions/exact", { query, body: JSON.stringify({ Action: action.value }) });
    source.value = destination.value = "";
    problem(null);
  };
  const submit = (event) => { event.preventDefault(); create().catch(problem); };
  show("Intentions", make("form", { class: "row", onsubmit: submit }, source, action, destination, make("button", { class: "main" }, "Add")), list);
  follow("connect/intentions", (found) => list.replaceChildren(intentionTable(found ?? [])));
}

// --- where we are -------------------------------------------------------------------------------------------------

function visit(path) {
  history.pushState(null, "", base + path);
  go();
}

function go() {
  leaving.abort();
  leaving = new AbortController();
  const [, kind = "services", ...rest] = location.pathname.slice(base.length).split("/");
  top(kind);
  if (kind === "services" && rest[0]) service(decodeURIComponent(rest[0]));
  else if (kind === "nodes" && rest[0]) node(decodeURIComponent(rest[0]));
  else if (kind === "nodes") nodes();
  else if (kind === "kv") kv(rest);
  else if (kind === "intentions") intentions();
  else services();
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("a[data-here]");
  if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (target.href !== location.href) { history.pushState(null, "", target.href); }
  go();
});
window.addEventListener("popstate", go);
go();
