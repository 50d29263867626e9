/** What the viewer's HTTP API answers; see docs/viewer.md. */

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value };
export type Attributes = { [key: string]: Value };

export interface RequestRow {
  id: number;
  trace_id: string;
  span_id: string;
  pending: boolean;
  error: boolean;
  start: string;
  duration_ns: number;
  service: string;
  request_id: string;
  method: string;
  route: string;
  path: string;
  user: string;
  status: number | null;
  spans: number;
  queries: number;
  calls: number;
  logs: number;
  errors: number;
}

export interface SpanEvent {
  name: string;
  time: string;
  attributes: Attributes;
}

export interface Span {
  span_id: string;
  parent_span_id: string | null;
  service: string;
  name: string;
  kind: number;
  start: string;
  duration_ns: number;
  status: number;
  message: string;
  is_query: boolean;
  is_call: boolean;
  attributes: Attributes;
  events: SpanEvent[];
  links: { trace_id: string; span_id: string; attributes: Attributes }[];
}

export interface Trace {
  trace_id: string;
  requests: RequestRow[];
  spans: Span[];
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(path).catch(() => {
    throw new Error("The viewer does not answer. Has it ended?");
  });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? `HTTP ${response.status}`);
  return body as T;
}

export function fetchRequests(filter: string, before?: number) {
  const parameters = new URLSearchParams({ filter, limit: "100" });
  if (before !== undefined) parameters.set("before", String(before));
  return get<{ requests: RequestRow[]; dropped: number }>(`api/requests?${parameters}`);
}

export function fetchTrace(traceId: string) {
  return get<Trace>(`api/requests/${traceId}`);
}

/** Calls back when requests have come or changed. Reconnects by itself. */
export function listen(onNews: (rows: RequestRow[]) => void, onReload: () => void): EventSource {
  const source = new EventSource("api/live");
  source.addEventListener("requests", (event) => onNews(JSON.parse(event.data)));
  source.addEventListener("reload", onReload);
  return source;
}
