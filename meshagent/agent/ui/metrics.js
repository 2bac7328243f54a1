// Where charts come from: `ui_config.metrics_provider`, built in (prometheus) or of a user's script.
//
// Ours answer `service(name, protocol)` -> {charts, stats} and `edges(name, protocol)` -> {upstreams, downstreams}, maps
// from a name to charts or stats. A chart is {label, unit, tone, points}, a stat {label, desc, value}. A user's script calls
// `consul.registerMetricsProvider(name, provider)` with Consul's interface of custom metrics providers; it is turned into
// ours here.
"use strict";

import { prometheus } from "./prometheus.js";

const settings = JSON.parse(document.querySelector('meta[name="meshagent-metrics"]').content || "{}");
const registered = new Map();

window.consul = { registerMetricsProvider: (name, provider) => registered.set(name, provider) };

export const configured = Boolean(settings.provider);

// The address of a service's dashboard, "" without one. What is put in is escaped; only http(s) becomes a link.
export function dashboard(name, datacenter) {
  const values = { "Service.Name": name, "Service.Namespace": "default", "Service.Partition": "default", Datacenter: datacenter };
  const filled = (settings.dashboards?.service ?? "").replace(/\{\{\s*([A-Za-z.]+)\s*\}\}/g, (_, word) => encodeURIComponent(values[word] ?? ""));
  return /^https?:\/\//i.test(filled) ? filled : "";
}

// `ask(path, query)`: the metrics server through the agent, as JSON.
export async function provider(base, ask) {
  const proxied = (path, query) => {
    if (!settings.proxied) throw new Error("ui_config.metrics_proxy.base_url is not set");
    return ask(`internal/ui/metrics-proxy/${path.replace(/^\//, "")}`, query);
  };
  if (settings.scripts) await load(`${base}metrics-providers.js`);
  const custom = registered.get(settings.provider);
  if (custom) return adapted(custom, proxied);
  if (settings.provider === "prometheus") return prometheus(settings.options ?? {}, proxied);
  throw new Error(`no script of ui_config.metrics_provider_files registers a provider called ${settings.provider}`);
}

let loading = null;

function load(address) {
  loading ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", () => done());
    script.addEventListener("error", () => failed(new Error("ui_config.metrics_provider_files cannot be loaded")));
    document.head.append(script);
  });
  return loading;
}

// Consul's interface of custom providers.
function adapted(custom, proxied) {
  const fetch = async (path, params) => {
    const value = await proxied(path, params ?? {});
    return { ok: true, status: 200, json: async () => value, text: async () => JSON.stringify(value) };
  };
  custom.init({ ...settings.options, metrics_provider: settings.provider, metrics_proxy_enabled: settings.proxied, providerOptions: settings.options, fetch });
  const datacenter = document.querySelector('meta[name="meshagent-datacenter"]').content;
  const call = async (method, ...words) => (custom[method] ? custom[method](datacenter, "default", ...words, {}) : null);
  return {
    async service(name, protocol) {
      const [series, stats] = await Promise.all([
        call("serviceRecentSummarySeries", name, protocol),
        call("serviceRecentSummaryStats", name, protocol),
      ]);
      const labels = Object.keys(series?.labels ?? {}).filter((label) => (series.data ?? []).some((row) => row[label] !== undefined));
      const charts = labels.map((label) => ({
        label, unit: (series.unitSuffix ?? "").trim(), points: series.data.map((row) => [row.time / 1000, Number(row[label] ?? NaN)]),
      }));
      return { charts, stats: stats?.stats ?? [] };
    },
    async edges(name) {
      const [upstreams, downstreams] = await Promise.all([
        call("upstreamRecentSummaryStats", name, ""),
        call("downstreamRecentSummaryStats", name),
      ]);
      const named = (found) => new Map(Object.entries(found?.stats ?? {}).map(([key, stats]) => [key.split(".")[0], stats]));
      return { upstreams: named(upstreams), downstreams: named(downstreams) };
    },
  };
}
