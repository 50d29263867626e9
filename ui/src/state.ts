/** The page's state, and how it changes. */

import { computed, signal } from "@preact/signals";
import { fetchRequests, fetchTrace, listen, type RequestRow, type Trace } from "./api";

/** The list keeps the newest; older ones are fetched on request. */
const MAXIMUM_ROWS = 1000;
/** Milliseconds. */
const NEWS_INTERVAL = 150;

export const requests = signal<RequestRow[]>([]);
export const filter = signal("");
export const filterError = signal("");
export const paused = signal(false);
export const dropped = signal(0);
export const hasMore = signal(true);
export const connected = signal(true);
/** Whether the store has answered; until then, an empty list means nothing. */
export const loaded = signal(false);

export const route = signal(parseHash());
export const trace = signal<Trace | null>(null);
export const traceError = signal("");

/** The row of the waterfall that the keyboard is at, and whose details are shown. */
export const selected = signal("");

export const selectedRequest = computed(() => {
  const rows = trace.value?.requests ?? [];
  return rows.find((row) => row.span_id === route.value.spanId) ?? rows[0] ?? null;
});

/** `#/` and `#/?filter=TEXT` are the list, `#/TRACE/SPAN` is one request. */
function parseHash(): { traceId: string; spanId: string; filter: string } {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [traceId = "", spanId = ""] = path.split("/");
  return { traceId, spanId, filter: new URLSearchParams(query).get("filter") ?? "" };
}

/** The list, with the filter that it has. */
export const listHref = computed(() => {
  const text = filter.value.trim();
  return text ? `#/?filter=${encodeURIComponent(text)}` : "#/";
});

export function setFilter(text: string): void {
  filter.value = text;
  history.replaceState(null, "", listHref.value);
  void load();
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
    loaded.value = true;
  } catch (error) {
    if (ticket === asked) filterError.value = (error as Error).message;
  }
}

export async function loadMore(): Promise<void> {
  const last = requests.value.at(-1);
  if (!last) return;
  try {
    const answer = await fetchRequests(filter.value, last.id);
    requests.value = [...requests.value, ...answer.requests];
    hasMore.value = answer.requests.length === 100;
  } catch (error) {
    filterError.value = (error as Error).message;
  }
}

/** What has come since it was shown last. */
let news: RequestRow[] = [];

/** Shows news some times a second, however often it comes. */
function onNews(rows: RequestRow[]): void {
  if (news.length === 0) setTimeout(showNews, NEWS_INTERVAL);
  news.push(...rows);
}

/** With a filter, the store decides what passes; without one, news goes straight to the top. */
function showNews(): void {
  const rows = news;
  news = [];
  const open = trace.value;
  if (open && rows.some((row) => row.trace_id === open.trace_id)) void loadTrace();
  if (paused.value) return;
  if (filter.value.trim()) {
    void load();
    return;
  }
  const byId = new Map<number, RequestRow>();
  const standIns = new Map<string, number>(); // of requests that have not come, by trace
  for (const row of [...requests.value, ...rows]) {
    const before = standIns.get(row.trace_id);
    if (before !== undefined) byId.delete(before);
    if (row.pending) standIns.set(row.trace_id, row.id);
    else standIns.delete(row.trace_id);
    byId.set(row.id, row);
  }
  const sorted = [...byId.values()].sort((a, b) => b.id - a.id);
  requests.value = sorted.slice(0, MAXIMUM_ROWS);
  if (sorted.length > MAXIMUM_ROWS) hasMore.value = true;
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
    const next = parseHash();
    route.value = next;
    if (!next.traceId && next.filter !== filter.value.trim()) {
      filter.value = next.filter;
      void load();
    }
    void loadTrace();
  });
  filter.value = route.value.filter;
  const source = listen(onNews, () => void load());
  source.onopen = () => {
    connected.value = true;
    void load(); // what came while we were not connected
  };
  source.onerror = () => (connected.value = false);
  void loadTrace();
}
