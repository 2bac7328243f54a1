// Traffic of a service and of its edges from Prometheus: what our sidecars count (meshagent_proxy_*), or Envoy's.
// A provider answers `service(name, protocol)` and `edges(name, protocol)`; see metrics.js for their shapes.
"use strict";

const SPAN_S = 15 * 60;
const STEP_S = 15;

export function prometheus(options, fetchJson) {
  const window = /^\d+[smh]$/.test(options.rate_window ?? "") ? options.rate_window : "2m";
  const text = JSON.stringify; // a PromQL string is written as a JSON one
  const rate = (series) => `rate(${series}[${window}])`;

  // `expression` over the last quarter of an hour: label value -> points; without `by` under "".
  async function range(expression, by) {
    const end = Math.floor(Date.now() / 1000 / STEP_S) * STEP_S;
    const query = { query: expression, start: end - SPAN_S, end, step: STEP_S };
    const answer = await fetchJson("/api/v1/query_range", query);
    const found = new Map();
    for (const { metric, values } of answer?.data?.result ?? []) {
      found.set(by ? metric[by] ?? "" : "", values.map(([time, value]) => [Number(time), Number(value)]));
    }
    return found;
  }

  const ours = (metric, labels) => rate(`meshagent_proxy_${metric}{${labels}}`);
  const envoy = (metric, labels) => rate(`envoy_${metric}{${labels}}`);
  const either = (first, second) => `(${first}) or (${second})`;
  const quantile = (series, by) => `histogram_quantile(0.99, sum by (${["le", by].filter(Boolean).join(", ")}) (${series}))`;

  async function service(name, protocol) {
    const mine = `service=${text(name)},direction="inbound"`;
    const theirs = `consul_source_service=${text(name)},envoy_http_conn_manager_prefix="public_listener"`;
    if (protocol === "tcp" || !protocol) {
      const listener = `consul_source_service=${text(name)},envoy_tcp_prefix="public_listener"`;
      const [connections, received, sent] = await Promise.all([
        range(either(`sum(${ours("connections_total", mine)})`, `sum(${envoy("tcp_downstream_cx_total", listener)})`)),
        range(either(`sum(${ours("received_bytes_total", mine)})`, `sum(${envoy("tcp_downstream_cx_rx_bytes_total", listener)})`)),
        range(either(`sum(${ours("sent_bytes_total", mine)})`, `sum(${envoy("tcp_downstream_cx_tx_bytes_total", listener)})`)),
      ]);
      return { charts: [
        { label: "Connections", unit: "/s", points: connections.get("") },
        { label: "Received", unit: "B/s", points: received.get("") },
        { label: "Sent", unit: "B/s", points: sent.get("") },
      ] };
    }
    const [requests, errors, slowest] = await Promise.all([
      range(either(`sum(${ours("requests_total", mine)})`, `sum(${envoy("http_downstream_rq_xx", theirs)})`)),
      range(share(
        either(`sum(${ours("requests_total", `${mine},class="5xx"`)})`, `sum(${envoy("http_downstream_rq_xx", `${theirs},envoy_response_code_class="5"`)})`),
        either(`sum(${ours("requests_total", mine)})`, `sum(${envoy("http_downstream_rq_xx", theirs)})`),
      )),
      range(either(`${quantile(ours("request_duration_seconds_bucket", mine))} * 1000`, quantile(envoy("http_downstream_rq_time_bucket", theirs)))),
    ]);
    return { charts: [
      { label: "Requests", unit: "/s", points: requests.get("") },
      { label: "Errors", unit: "%", tone: "bad", points: errors.get("") },
      { label: "Latency, 99 of 100", unit: "ms", points: slowest.get("") },
    ] };
  }

  // What part of `whole` is `part`, in percent; 0 where there is a whole and no part.
  const share = (part, whole) => `100 * ((${part}) or ((${whole}) * 0)) / ((${whole}) > 0)`;

  async function side(name, own, other, direction, envoyOwn, envoyOther) {
    const mine = `service=${text(name)},direction=${text(direction)}`;
    const theirs = `${envoyOwn}=${text(name)}`;
    const sum = (series) => `sum by (${other}) (${series})`;
    const moved = (series) => `label_replace(sum by (${envoyOther}) (${series}), ${text(other)}, "$1", ${text(envoyOther)}, "(.*)")`;
    const all = either(sum(ours("requests_total", mine)), moved(envoy("cluster_upstream_rq_xx", theirs)));
    const bad = either(sum(ours("requests_total", `${mine},class="5xx"`)), moved(envoy("cluster_upstream_rq_xx", `${theirs},envoy_response_code_class="5"`)));
    const [requests, errors, slowest, connections] = await Promise.all([
      range(all, other),
      range(share(bad, all), other),
      range(`${quantile(ours("request_duration_seconds_bucket", mine), other)} * 1000`, other),
      range(either(sum(ours("connections_total", mine)), moved(envoy("cluster_upstream_cx_total", theirs))), other),
    ]);
    const found = new Map();
    for (const peer of new Set([...requests.keys(), ...connections.keys()])) {
      found.set(peer, requests.has(peer) ? [
        { label: "Requests", unit: "/s", points: requests.get(peer) },
        { label: "Errors", unit: "%", tone: "bad", points: errors.get(peer) },
        { label: "99 of 100", unit: "ms", points: slowest.get(peer) },
      ] : [{ label: "Connections", unit: "/s", points: connections.get(peer) }]);
    }
    return found;
  }

  async function edges(name) {
    const [upstreams, downstreams] = await Promise.all([
      side(name, "source", "destination", "outbound", "consul_source_service", "consul_destination_service"),
      side(name, "destination", "source", "inbound", "consul_destination_service", "consul_source_service"),
    ]);
    return { upstreams, downstreams };
  }

  return { service, edges };
}
