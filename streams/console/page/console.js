// The console's page: asks for the state once a second and writes what has changed into the page.
// Texts are set as text, never as markup: what a message says cannot become part of the page.

const STATE_MS = 1000, DETAIL_MS = 3000, SAY_MS = 10000;
const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false });
let nowMs = Date.now();

// --- small things ---------------------------------------------------------------------------

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value != null) node.setAttribute(name, value);
  node.append(...children.filter((child) => child != null));
  return node;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function kind(node, name, on) {
  if (node.classList.contains(name) !== on) node.classList.toggle(name, on);
}

// Brings a list to `items` and keeps the nodes of those that stay, so that focus and reading place stay, too.
function list(parent, items, key, make, update) {
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    let node = known.get(id);
    if (!node) { node = make(item); node.dataset.key = id; }
    known.delete(id);
    if (node === at) at = at.nextElementSibling; else parent.insertBefore(node, at);
    update(node, item);
  }
  for (const node of known.values()) node.remove();
}

function count(value) { return value == null ? "–" : number.format(Math.round(value)); }
function rate(value) { return value == null ? "–" : value < 100 ? value.toFixed(1) : number.format(Math.round(value)); }
function plural(value, one, many) { return `${count(value)} ${Math.round(value) === 1 ? one : many || `${one}s`}`; }
function percent(share) { return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`; }
function usd(value) {
  if (value == null) return "–";
  if (value >= 1000) return `$${number.format(Math.round(value))}`;
  return `$${value.toFixed(value >= 1 || value === 0 ? 2 : value >= 0.001 ? 4 : 6)}`;
}
function ms(value) { return value == null ? "–" : value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`; }
function span(seconds) {
  if (seconds < 100) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}
function utc(at) { return `${new Date(at).toISOString().replace("T", " ").slice(0, 19)} UTC`; }
function time(at, ago = false) {
  if (!at) return el("span", {}, "–");
  const node = el("time", { datetime: new Date(at).toISOString(), title: utc(at) });
  retime(node, at, ago);
  return node;
}
function retime(node, at, ago) {
  if (!at) return put(node, "–");
  const iso = new Date(at).toISOString();
  if (node.getAttribute("datetime") !== iso) { node.setAttribute("datetime", iso); node.title = utc(at); }
  put(node, ago ? `${span((nowMs - at) / 1000)} ago` : (nowMs - at < 43200000 ? clock : day).format(at));
}

function tagged(severity, over) {
  return el("span", { class: `tag ${over ? "over" : severity || "plain"}` }, over ? "resolved" : severity || "no severity");
}

function spark(svg, series) {
  const max = Math.max(...series, 0.1), step = 100 / Math.max(1, series.length - 1);
  const points = series.map((value, i) => `${(i * step).toFixed(1)},${(24 - (value / max) * 22).toFixed(1)}`);
  const line = points.length ? `M${points.join("L")}` : "";
  svg.lastChild.setAttribute("d", line);
  svg.firstChild.setAttribute("d", line && `${line}L100,26L0,26Z`);
}
function newSpark() {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg");
  for (const [name, value] of [["class", "spark"], ["viewBox", "0 0 100 26"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
  const area = document.createElementNS(ns, "path"), line = document.createElementNS(ns, "path");
  area.setAttribute("class", "area");
  svg.append(area, line);
  return svg;
}

// --- in short -------------------------------------------------------------------------------

const WORST = ["nobody", "standing still", "falling behind", "catching up", "unknown"];
const STAGES = ["triage", "mini", "flagship", "incidents", "notify", "trainer"];
const NEAR = 0.8; // of a budget
const BAD = ["nobody", "standing still", "falling behind"];

function answer(id, mood, big, sub) {
  const node = $(id);
  for (const name of ["good", "warn", "bad"]) kind(node, name, name === mood);
  put(node.querySelector(".big"), big);
  put(node.querySelector(".sub"), sub);
}

function drawShort(state) {
  const flow = state.flow, stages = STAGES.filter((name) => flow[name]);
  const worst = WORST.find((verdict) => stages.some((name) => flow[name].verdict === verdict));
  const where = stages.filter((name) => flow[name].verdict === worst);
  const lag = stages.reduce((sum, name) => sum + (flow[name].lag || 0), 0);
  const stage = flow[where[0]];
  if (state.trouble) answer("a-pace", "", "–", "not known while Kafka cannot be read");
  else if (!worst) answer("a-pace", "good", "Yes", `lag ${plural(lag, "record")}; ${rate(flow.inputs.per_s)}/s come in`);
  else if (worst === "unknown") answer("a-pace", "", "–", "offsets are not known yet");
  else if (worst === "nobody") answer("a-pace", "bad", "No worker", `${where.join(", ")}: ${plural(stage.lag, "record")} and nobody there. sluice run ${where[0]}`);
  else if (worst === "catching up") answer("a-pace", "warn", "Catching up", `${where.join(", ")}: ${plural(stage.lag, "record")} behind, ${span(stage.drain_s)} of work`);
  else answer("a-pace", "bad", worst === "standing still" ? "Standing still" : "Falling behind", `${where.join(", ")}: ${plural(stage.lag, "record")} behind`);

  const by = Object.entries(state.alerts.firing_by_severity);
  const mood = state.trouble ? "" : by.some(([severity]) => severity === "critical" || severity === "error") ? "bad" : by.length ? "warn" : "good";
  const sum = by.map(([severity, n]) => `${count(n)} ${severity}`).join(", ");
  if (state.trouble && !state.alerts.firing) answer("a-firing", "", "–", "not known while Kafka cannot be read");
  else answer("a-firing", mood, count(state.alerts.firing), sum || (state.alerts.resolved ? `nothing now; ${count(state.alerts.resolved)} resolved` : "nothing, and nothing before"));
  say(state.alerts.firing, sum);

  const money = state.money, hourly = (value) => (value * 3600) / money.seconds;
  const agents = money.usd.mini + money.usd.flagship, each = money.one_call_each_usd;
  const fullest = Math.max(0, ...state.budgets.map((budget) => budget.spent_usd / budget.usd));
  if (money.usd.nano + agents === 0 && each == null) answer("a-cost", "", "–", "no model was asked yet");
  else {
    const beside = each == null ? "" : `; one nano call each instead ${usd(hourly(each))}/h`;
    answer("a-cost", fullest >= 1 ? "bad" : fullest >= NEAR ? "warn" : "good", `${usd(hourly(money.usd.nano + agents))}/h`,
      `agents ${usd(hourly(agents))}/h, triage ${usd(hourly(money.usd.nano))}/h${beside}${fullest >= 1 ? ". A budget is spent" : ""}`);
  }
  const title = state.alerts.firing ? `(${state.alerts.firing}) Sluice` : "Sluice";
  if (document.title !== title) document.title = title;
}

let said = null, saidMs = 0;
function say(firing, sum) {
  if (said !== null && firing > said && Date.now() - saidMs > SAY_MS) {
    saidMs = Date.now();
    put($("say"), `${plural(firing, "alert")} firing: ${sum}`);
  }
  said = firing;
}

// --- the flow -------------------------------------------------------------------------------

function drawFlow(state) {
  const flow = state.flow;
  const cards = [
    { id: "inputs", name: "Inputs", about: "records that come in", per_s: flow.inputs.per_s, series: flow.inputs.series, topics: flow.inputs.topics.join(", ") },
    { id: "triage", name: "Triage", about: "decisions", per_s: flow.decisions.per_s, series: flow.decisions.series },
    { id: "mini", name: "Mini", about: "escalations that come in", per_s: flow["escalations mini"].per_s, series: flow["escalations mini"].series },
    { id: "flagship", name: "Flagship", about: "escalations that come in", per_s: flow["escalations flagship"].per_s, series: flow["escalations flagship"].series },
    { id: "incidents", name: "Incidents", about: "signals, by their offsets", per_s: flow.incidents.per_s, series: flow.incidents.series },
    ...(flow.notify ? [{ id: "notify", name: "Notify", about: "alerts, by their offsets", per_s: flow.notify.per_s, series: flow.notify.series }] : []),
  ];
  list($("flow"), cards, (card) => card.id, newStage, (node, card) => {
    const stage = flow[card.id], verdict = stage.verdict;
    kind(node, "bad", BAD.includes(verdict));
    kind(node, "warn", verdict === "catching up");
    kind(node, "good", verdict === "keeping up" || card.id === "inputs");
    node.title = card.about;
    const [, value, chart, first, second] = node.children;
    put(value.firstChild, rate(card.per_s));
    spark(chart, card.series);
    if (card.topics) { put(first.lastChild, card.topics); return; }
    put(first.firstChild, `lag ${count(stage.lag)}`);
    put(first.lastChild, verdict === "unknown" ? "" : ` · ${verdict}`);
    put(second.lastChild, plural(stage.workers, "worker"));
  });
  const hour = state.decided.hour, climbed = state.decided.streams.reduce((sum, stream) => sum + stream.climbed, 0);
  const parts = [];
  if (hour) parts.push(`of 1,000 messages ${(climbed / hour * 1000).toFixed(0)} climb to an agent`);
  parts.push(`${plural(state.letters.hour, "dead letter")} in the last hour`);
  if (flow.triage.parked) parts.push(`${count(flow.triage.parked)} parked until there is money`);
  if (state.sampled != null) parts.push(`sampled: ${percent(state.sampled)} of the decisions are read, the others counted by their offsets, transaction markers among them`);
  put($("flow-aside"), parts.join(" · "));
}

function newStage(card) {
  const value = el("p", { class: "rate" }, el("span"), el("small", {}, " /s"));
  const line = () => el("p", { class: "line" }, el("b"), el("span"));
  return el("li", { class: card.id === "incidents" ? "stage apart" : "stage" }, el("h3", {}, card.name), value, newSpark(), line(), line());
}

// --- rows that open something ---------------------------------------------------------------

function alertText(alert) {
  const labels = alert.labels, grouped = Object.entries(labels).filter(([name, value]) => value !== "" && !["alertname", "severity", "stream", "tenant"].includes(name));
  return [labels.alertname, [labels.stream, labels.tenant, ...grouped.map(([name, value]) => `${name}=${value}`)].filter(Boolean).join(" · ")];
}

function newRow(href) {
  return el("li", {}, el("a", { class: "row", href }, el("span", { class: "tag" }),
    el("span", { class: "what" }, el("b"), el("span")), el("time", { class: "when" }), el("span", { class: "more" })));
}
function row(node, { severity, over, tag, bold, rest, at, more }) {
  const [mark, what, when, below] = node.firstChild.children;
  const name = `tag ${over ? "over" : severity || "plain"}`;
  if (mark.className !== name) mark.className = name;
  put(mark, tag);
  put(what.firstChild, bold);
  put(what.lastChild, rest);
  retime(when, at, true);
  put(below, more || "");
  below.hidden = !more;
  kind(node.firstChild, "over", Boolean(over));
}

function updateAlert(node, alert) {
  const [name, rest] = alertText(alert), over = alert.status !== "firing";
  const reviewed = alert.reviewed_by ? `, reviewed by ${alert.reviewed_by}` : "";
  row(node, { severity: alert.labels.severity, over, tag: over ? "resolved" : alert.labels.severity, bold: name, rest: ` ${rest}`,
    at: Date.parse(over && alert.endsAt ? alert.endsAt : alert.startsAt),
    more: `${plural(alert.count, "message")}, revision ${alert.revision}${reviewed}${alert.annotations.summary ? `. ${alert.annotations.summary}` : ""}` });
}

function updateMessage(node, message) {
  const tiers = message.tiers.join(" → ");
  const ended = message.died ? "dead letter" : message.status || (message.tiers.length ? "with the agent" : "decided");
  row(node, { severity: message.severity, tag: message.severity || "–", bold: message.label || "not held any more",
    rest: ` ${[message.stream, tiers && `to ${tiers}`, message.known ? ended : "see Kafka"].filter(Boolean).join(" · ")}`,
    at: message.at_ms, more: message.summary || message.id });
}

let older = [];
function drawInbox(state) {
  const listed = state.alerts.listed, total = state.alerts.firing + state.alerts.resolved;
  const fresh = new Set(listed.map((alert) => alert.id));
  list($("alerts"), [...listed, ...older.filter((alert) => !fresh.has(alert.id))], (alert) => alert.id,
    (alert) => newRow(`#/alerts/${encodeURIComponent(alert.id)}`), updateAlert);
  put($("inbox-count"), total ? `${count(state.alerts.firing)} firing, ${count(state.alerts.resolved)} resolved` : "");
  $("alerts-empty").hidden = total > 0;
  put($("alerts-empty"), state.trouble ? "Nothing was read yet." : "No alert so far. Labels with a severity raise one when fire_at messages agree within a window: [streams.NAME.alerts] in the policy.");
  $("alerts-more").hidden = listed.length + older.length >= total || total <= listed.length;

  list($("climbed"), state.climbed, (message) => message.id, (message) => newRow(`#/messages/${path(message.id)}`), updateMessage);
  $("climbed-empty").hidden = state.climbed.length > 0;

  list($("letters"), state.letters.listed.filter((letter) => letter.id), (letter) => letter.id + letter.at_ms,
    (letter) => newRow(`#/messages/${path(letter.id)}`),
    (node, letter) => row(node, { severity: "error", tag: letter.stage || "–", bold: letter.reason, rest: ` ${letter.id}`, at: letter.at_ms, more: letter.error }));
  $("letters-empty").hidden = state.letters.listed.length > 0;
  put($("letters-count"), state.letters.hour ? `${count(state.letters.hour)} in the last hour` : "");
}

$("alerts-more").addEventListener("click", async () => {
  const shown = $("alerts").children.length;
  const page = await get(`/alerts?offset=${shown}`);
  if (page) { older = [...older, ...page.listed]; await poll(); $("alerts").children[shown]?.firstChild.focus(); }
});

function path(id) { return id.split("/").map(encodeURIComponent).join("/"); }

// --- figures --------------------------------------------------------------------------------

function drawFigures(state) {
  const decided = state.decided, total = decided.means.reduce((sum, part) => sum + part.count, 0) || 1;
  put($("decided-count"), decided.hour ? `${plural(decided.hour, "decision")} in ${span((nowMs - decided.since_ms) / 1000)}` : "nothing decided yet");
  list($("means-bar"), decided.means, (part) => part.means, (part) => el("i", { class: part.means }),
    (node, part) => { node.style.width = `${(part.count / total) * 100}%`; });
  list($("means"), decided.means, (part) => part.means,
    (part) => el("div", { class: part.means }, el("dt", {}, part.means), el("dd"), el("dd")),
    (node, part) => { put(node.children[1], percent(part.count / total)); put(node.children[2], count(part.count)); });

  const money = state.money, hourly = (value) => (value == null ? "–" : `${usd((value * 3600) / money.seconds)}/h`);
  put($("money-window"), `the last ${span(money.seconds)}, per hour`);
  const agents = money.usd.mini + money.usd.flagship;
  const rows = [["triage (nano)", money.usd.nano, ""], ["mini agents", money.usd.mini, ""], ["flagship agents", money.usd.flagship, ""],
    ["in all", money.usd.nano + agents, "sum"], ["one nano call each, instead of triage", money.one_call_each_usd, "each"]];
  const times = money.one_call_each_usd != null && money.usd.nano > 0 ? money.one_call_each_usd / money.usd.nano : null;
  put($("times"), times == null ? "" : times >= 1.05 ? `One call each would cost ${times.toFixed(1)} times what triage does.`
    : times > 0.95 ? "One call each would cost the same as triage." : "One call each would cost less than triage does at this rate: batches are small, and triage asks for fields and summaries besides.");
  list($("money"), rows, (line) => line[0], (line) => el("tr", { class: line[2] || null }, el("td", { class: "text" }, line[0]), el("td"), el("td")),
    (node, line) => { put(node.children[1], usd(line[1])); put(node.children[2], hourly(line[1])); });
  const explained = reckoned(state);
  if ($("reckoned").textContent !== explained.map((node) => node.textContent).join("")) $("reckoned").replaceChildren(...explained);

  list($("budgets"), state.budgets, (budget) => budget.of, () => el("li", {}, el("span"), el("span"), el("div", { class: "bar", "aria-hidden": "true" }, el("i"))),
    (node, budget) => {
      const share = budget.spent_usd / budget.usd;
      put(node.children[0], budget.of);
      put(node.children[1], `${usd(budget.spent_usd)} of $${number.format(budget.usd)} this ${budget.period}${share >= 1 ? `: ${budget.when_spent}` : ""}`);
      node.querySelector("i").style.width = `${Math.min(1, share) * 100}%`;
      kind(node, "near", share >= NEAR && share < 1); kind(node, "full", share >= 1);
    });
  $("budgets-empty").hidden = state.budgets.length > 0;
  $("budgets-note").hidden = !state.budgets.length;

  list($("models"), state.models, (model) => model.tier, (model) => el("tr", {}, el("td", {}, model.tier), ...Array.from({ length: 6 }, () => el("td"))),
    (node, model) => {
      node.title = model.model;
      const cells = [count(model.calls_per_min), count(model.tokens_per_min), percent(model.cached), count(model.limited), count(model.failed), ms(model.latency_ms)];
      cells.forEach((text, i) => put(node.children[i + 1], text));
      kind(node.children[4], "bad", model.limited > 0); kind(node.children[5], "bad", model.failed > 0);
    });

  list($("workers"), state.workers, (worker) => worker.stage + worker.client, () => el("tr", {}, el("td"), el("td", { class: "text mono" }), el("td", { class: "mono" }), el("td")),
    (node, worker) => [worker.stage, worker.client, worker.host, count(worker.partitions)].forEach((text, i) => { put(node.children[i], text); if (i === 3) node.children[i].title = worker.topics.join(", "); }));
  $("workers-empty").hidden = state.workers.length > 0;
  put($("workers-count"), state.workers.length ? count(state.workers.length) : "");
}

function reckoned(state) {
  const money = state.money, out = [];
  out.push(el("p", {}, `For each message that was judged: one short nano call with the stream's labels, that message alone and ${money.output_tokens} tokens of answer, nothing cached, at the list price. The length of messages is the mean of a sample of the inputs.`));
  for (const one of money.reckoned) out.push(el("p", {}, `${one.stream}: ${count(one.count)} × (${count(one.instruction_tokens)} + ${count(one.message_tokens)} tokens in, ${money.output_tokens} out) = ${usd(one.usd)}; sample of ${count(one.sample)}`));
  if (!money.reckoned.length) out.push(el("p", {}, "No message was seen yet."));
  return out;
}

// --- alert and message, in the dialog -------------------------------------------------------

const dialog = $("detail");
let opener = null, drawn = "", asked = 0;

function route() {
  const found = location.hash.match(/^#\/(alerts|messages)\/(.+)$/);
  if (!found) { if (dialog.open) dialog.close(); return null; }
  return { kind: found[1], url: `/${found[1]}/${found[2]}` };
}

async function openDetail(byUser) {
  const to = route();
  if (!to) return;
  const turn = ++asked, response = await ask(to.url);
  if (!response || turn !== asked) return;
  const text = await response.text();
  if (text === drawn && dialog.open) return;
  drawn = text;
  const value = JSON.parse(text), focused = document.activeElement?.getAttribute?.("href");
  const [title, nodes] = response.ok ? (to.kind === "alerts" ? alertDetail(value) : messageDetail(value)) : ["Not here", [el("p", {}, value.error)]];
  put($("detail-title"), title);
  $("detail-body").replaceChildren(...nodes);
  $("back").hidden = !cameFrom;
  if (!dialog.open) dialog.showModal();
  if (byUser) $("detail-title").focus();
  else if (focused) dialog.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

let cameFrom = false;
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#/']");
  if (!link) return;
  cameFrom = dialog.open;
  if (!dialog.open) opener = link;
});
window.addEventListener("hashchange", () => { drawn = ""; openDetail(true); });
$("back").addEventListener("click", () => { cameFrom = false; history.back(); });
$("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  cameFrom = false; drawn = "";
  if (location.hash.startsWith("#/")) history.pushState(null, "", location.pathname);
  (opener?.isConnected ? opener : $("inbox")).focus();
  opener = null;
});

function facts(pairs) {
  const node = el("dl", { class: "facts" });
  for (const [name, value] of pairs) if (value != null && value !== "" && value !== "–") node.append(el("dt", {}, name), el("dd", {}, value));
  return node;
}
function fieldsText(fields) {
  const said = Object.entries(fields || {}).filter(([, value]) => value != null);
  return said.map(([name, value]) => `${name} = ${value}`).join("\n");
}
function heading(title, at, extra) { return el("h3", {}, title, extra || null, at ? time(at) : null); }
function hidden(content) {
  return content ? null : el("p", { class: "note" }, "What messages say is not shown here. SLUICE_CONSOLE_CONTENT=1, where this page is served, allows it.");
}

function alertDetail({ alert, revisions, messages, content }) {
  const over = alert.status !== "firing", labels = Object.entries(alert.labels);
  const url = alert.annotations.runbook_url;
  const link = url && /^https?:\/\//.test(url) ? el("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, url) : url;
  const told = el("ol", { class: "path" });
  for (const step of revisions) told.append(el("li", { class: step.status === "resolved" ? "todo" : null },
    heading(`Revision ${step.revision}: ${step.status}`, step.at_ms), el("p", { class: "note" }, `${plural(step.count, "message")}${step.reviewed_by ? `, reviewed by ${step.reviewed_by}` : ""}`)));
  const evidence = el("ul", { class: "rows" });
  list(evidence, messages, (message) => message.id, (message) => newRow(`#/messages/${path(message.id)}`), updateMessage);
  return [`${alert.labels.alertname} · ${alert.labels.stream}`, [
    tagged(alert.labels.severity, over),
    alert.annotations.summary ? el("p", {}, alert.annotations.summary) : null,
    alert.annotations.description ? el("blockquote", { tabindex: "0" }, alert.annotations.description) : null,
    facts([["since", time(Date.parse(alert.startsAt))], ["until", alert.endsAt ? time(Date.parse(alert.endsAt)) : null], ["messages", count(alert.count)],
      ["reviewed by", alert.reviewed_by], ["runbook", link], ...labels.filter(([name]) => name !== "alertname").map(([name, value]) => [name, value]),
      ["grouped by", alert.grouped && !content ? `${plural(alert.grouped, "field")}, not shown` : null], ["fingerprint", alert.fingerprint]]),
    el("h2", {}, "Messages, the latest last"), evidence, el("h2", {}, "How it was told"), told,
    hidden(content),
  ].filter(Boolean)];
}

function messageDetail({ id, content, decision, escalations, resolutions, letters, alerts }) {
  const steps = el("ol", { class: "path" });
  const step = (title, at, nodes, mark, extra) => steps.append(el("li", { class: mark || null }, heading(title, at, extra), ...nodes.filter(Boolean)));
  const source = decision?.source || {}, text = Object.values(escalations).map((one) => one.text).find(Boolean);
  step("Input", source.timestamp_ms, [facts([["record", id], ["key", source.key]]), text ? el("blockquote", { tabindex: "0" }, text) : null]);
  if (decision) {
    const tokens = decision.tokens || {};
    step(`Decided: ${decision.label}`, decision.at_ms, [facts([["by", [decision.decided_by, decision.model].filter(Boolean).join(", ")],
      ["confidence", decision.confidence?.toFixed(2)], ["priority", String(decision.priority)], ["summary", decision.summary], ["fields", fieldsText(decision.fields)],
      ["template", decision.template], ["batch", decision.batch_size ? plural(decision.batch_size, "message") : null],
      ["tokens", decision.batch_size ? `${count(tokens.input)} in (${count(tokens.cached)} cached), ${count(tokens.output)} out` : null],
      ["cost", usd(decision.cost_usd_micros / 1e6)], ["took", ms(decision.latency_ms)]])], null, decision.severity ? tagged(decision.severity) : null);
  } else if (!letters.length) step("Decided", null, [el("p", { class: "note" }, "This decision is older than what the console holds.")], "todo");
  for (const [tier, escalation] of Object.entries(escalations)) {
    step(`Climbed to ${tier}: ${escalation.reason}`, escalation.at_ms, [facts([["why", escalation.detail],
      ["verdicts so far", escalation.verdicts.map((one) => `${one.tier}: ${one.label}${one.confidence == null ? "" : ` (${one.confidence.toFixed(2)})`}`).join("\n")]])]);
    const resolution = resolutions[tier];
    if (resolution) {
      const done = resolution.status === "bounded" ? `ended by its limit (${resolution.bound})` : "resolved";
      step(`${tier[0].toUpperCase()}${tier.slice(1)} ${done}: ${resolution.label}`, resolution.at_ms, [
        resolution.summary ? el("p", {}, resolution.summary) : null,
        facts([["model", resolution.model], ["confidence", resolution.confidence?.toFixed(2)], ["turns", `${resolution.turns}, with ${plural(resolution.tool_calls, "tool call")}`],
          ["evidence", resolution.evidence.map((one) => (one.finding ? `${one.tool}: ${one.finding}` : one.tool)).join("\n")],
          ["plan", resolution.plan.map((one) => [one.status, one.goal, one.result].filter(Boolean).join(": ")).join("\n")],
          ["next steps", (resolution.actions || []).map((action, i) => `${i + 1}. ${action}`).join("\n")],
          ["cost", usd(resolution.cost_usd_micros / 1e6)], ["took", ms(resolution.latency_ms)], ["trace", resolution.trace]])], null, resolution.severity ? tagged(resolution.severity) : null);
    } else if (!(tier === "mini" && escalations.flagship) && !letters.some((letter) => letter.stage === tier)) {
      step(`With ${tier}`, null, [el("p", { class: "note" }, "The agent has not ended it yet.")], "todo");
    }
  }
  for (const letter of letters) step(`Dead letter: ${letter.reason}`, letter.at_ms, [facts([["stage", letter.stage], ["attempts", letter.attempts], ["error", letter.error]])], "died");
  for (const alert of alerts) {
    const [name, rest] = alertText(alert);
    step("Alert", Date.parse(alert.startsAt), [el("p", {}, el("a", { href: `#/alerts/${encodeURIComponent(alert.id)}` }, `${name} · ${rest}`))], null, tagged(alert.labels.severity, alert.status !== "firing"));
  }
  return [decision ? `${decision.stream} · ${decision.label}` : id, [steps, hidden(content)].filter(Boolean)];
}

// --- asking ---------------------------------------------------------------------------------

async function ask(url) {
  try {
    const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (response.status === 401) { location.assign("/login"); return null; }
    return response;
  } catch { return null; }
}
async function get(url) {
  const response = await ask(url);
  return response?.ok ? response.json() : null;
}

function draw(state) {
  nowMs = state.now_ms;
  put($("where"), state.default_prefix ? "" : `topics ${state.prefix}*`);
  $("simulated").hidden = !state.simulated;
  put($("simulated"), state.simulated === 1 ? "Models are simulated: no model answered, no money was spent; prices are the list's"
    : `${percent(state.simulated)} of the answers are simulated`);
  $("trouble").hidden = !state.trouble;
  put($("trouble"), state.trouble || "");
  $("logout").hidden = !state.token;
  drawShort(state);
  drawFlow(state);
  drawInbox(state);
  drawFigures(state);
}

let answeredMs = 0, timer = 0;
async function poll() {
  clearTimeout(timer);
  const state = await get("/state.json");
  if (state) { answeredMs = Date.now(); draw(state); }
  const stale = Date.now() - answeredMs > 5000;
  kind(document.body, "stale", stale);
  put($("seen"), !stale ? `live, ${clock.format(nowMs)}` : answeredMs ? `no answer for ${span((Date.now() - answeredMs) / 1000)}` : "no answer yet");
  if (!document.hidden) timer = setTimeout(poll, STATE_MS);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
setInterval(() => { if (dialog.open && !document.hidden) openDetail(false); }, DETAIL_MS);

await poll();
openDetail(true);
