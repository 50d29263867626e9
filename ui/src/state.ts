/** The page's state, and how it changes. */

import { computed, signal } from "@preact/signals";
import { fetchRequests, fetchTrace, listen, type RequestRow, type Trace } from "./api";

/** The list keeps the newest; older ones are fetched on request. */
const MAXIMUM_ROWS = 2000;

export const requests = signal<RequestRow[]>([]);
export const filter = signal("");
export const filterError = signal("");
export const paused = signal(false);
export const dropped = signal(0);
export const hasMore = signal(true);
export const connected = signal(true);

export const route = signal(parseHash());
export const trace = signal<Trace | null>(null);
export const traceError = signal("");

/** The row of the waterfall that the keyboard is at, and whose details are shown. */
export const selected = signal("");

export const selectedRequest = computed(() => {
  const rows = trace.value?.requests ?? [];
  return rows.find((row) => row.span_id === route.value.spanId) ?? rows[0] ?? null;
});

/** `#/` is the list, `#/TRACE/SPAN` one request. */
function parseHash(): { traceId: string; spanId: string } {
  const [traceId = "", spanId = ""] = location.hash.replace(/^#\/?/, "").split("/");
  return { traceId, spanId };
}

let asked = 0;

export async function load(): Promise<void> {
  const ticket = ++asked;
  try {
    const answer = await fetchRequests(filter.value);
    if (ticket !== asked) return; // a later filter was asked for meanwhile
    requests.value = answer.requests;
    dropped.value = answer.dropped;
    hasMore.value = answer.requests.length === 100;
    filterError.value = "";
  } catch (error) {
    if (ticket === asked) filterError.value = (error as Error).message;
  }
}

export async function loadMore(): Promise<void> {
  const last = requests.value.at(-1);
  if (!last) return;
  const answer = await fetchRequests(filter.value, last.id);
  requests.value = [...requests.value, ...answer.requests];
  hasMore.value = answer.requests.length === 100;
}

/** With a filter, the store decides what passes; without one, news goes straight to the top. */
function onNews(rows: RequestRow[]): void {
  const open = trace.value;
  if (open && rows.some((row) => row.trace_id === open.trace_id)) void loadTrace();
  if (paused.value) return;
  if (filter.value.trim()) {
    void load();
    return;
  }
  const byId = new Map(requests.value.map((row) => [row.id, row]));
  for (const row of rows) {
    // A row that stood in for a request that had not come is replaced by it.
    for (const old of byId.values()) {
      if (old.pending && old.trace_id === row.trace_id) byId.delete(old.id);
    }
    byId.set(row.id, row);
  }
  requests.value = [...byId.values()].sort((a, b) => b.id - a.id).slice(0, MAXIMUM_ROWS);
}

export async function loadTrace(): Promise<void> {
  const { traceId } = route.value;
  if (!traceId) {
    trace.value = null;
    return;
  }
  try {
    const answer = await fetchTrace(traceId);
    if (route.value.traceId === traceId) trace.value = answer;
    traceError.value = "";
  } catch (error) {
    trace.value = null;
    traceError.value = (error as Error).message;
  }
}

export function start(): void {
  addEventListener("hashchange", () => {
    route.value = parseHash();
    void loadTrace();
  });
  const source = listen(onNews, () => void load());
  source.onopen = () => {
    connected.value = true;
    void load(); // what came while we were not connected
  };
  source.onerror = () => (connected.value = false);
  void loadTrace();
}
