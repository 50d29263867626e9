/** The list of requests, as they come. */

import { useEffect, useRef } from "preact/hooks";
import type { RequestRow } from "./api";
import { clock, duration } from "./format";
import * as state from "./state";

export function RequestList() {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "asynchooks";
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "/" && document.activeElement !== box.current) {
        event.preventDefault();
        box.current?.focus();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const rows = state.requests.value;
  const slowest = Math.max(1, ...rows.slice(0, 200).map((row) => row.duration_ns));
  return (
    <>
      <header class="bar">
        <h1>asynchooks</h1>
        <input
          ref={box}
          class="filter"
          type="search"
          aria-label="Filter requests"
          placeholder="Filter:  /orders  status:>=500  duration:>100ms  queries:>5  error   ( / )"
          value={state.filter.value}
          onInput={(event) => {
            state.filter.value = event.currentTarget.value;
            void state.load();
          }}
        />
        <button type="button" onClick={togglePause} aria-pressed={state.paused.value}>
          {state.paused.value ? "Resume" : "Pause"}
        </button>
        <span class={state.connected.value && !state.paused.value ? "live on" : "live"}>
          {!state.connected.value ? "not connected" : state.paused.value ? "paused" : "live"}
        </span>
      </header>
      {state.filterError.value && <p class="notice bad" role="alert">{state.filterError.value}</p>}
      {state.dropped.value > 0 && (
        <p class="notice">
          {state.dropped.value} spans were dropped before they came here: what you see is not all.
        </p>
      )}
      <main>
        <table class="requests">
          <thead>
            <tr>
              <th>Time</th>
              <th>Service</th>
              <th>Method</th>
              <th class="wide">Route</th>
              <th class="number">Status</th>
              <th class="number">Duration</th>
              <th class="number">Queries</th>
              <th class="number">Calls</th>
              <th class="number">Logs</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => <Row key={row.id} row={row} slowest={slowest} />)}
          </tbody>
        </table>
        {rows.length === 0 && !state.filterError.value && <Empty />}
        {rows.length > 0 && state.hasMore.value && (
          <button type="button" class="more" onClick={() => void state.loadMore()}>Older</button>
        )}
      </main>
    </>
  );
}

function togglePause(): void {
  state.paused.value = !state.paused.value;
  if (!state.paused.value) void state.load();
}

function Empty() {
  return state.filter.value.trim() ? (
    <p class="empty">No request passes this filter.</p>
  ) : (
    <div class="empty">
      <p>No request yet. Start a service with</p>
      <pre>asynchooks run -- uvicorn app:app</pre>
      <p>or export OTLP/HTTP to {location.origin} from any OpenTelemetry program.</p>
    </div>
  );
}

function Row({ row, slowest }: { row: RequestRow; slowest: number }) {
  const href = `#/${row.trace_id}/${row.span_id}`;
  const classes = [row.error && "failed", row.pending && "pending"].filter(Boolean).join(" ");
  const share = Math.max(1, (100 * row.duration_ns) / slowest);
  return (
    <tr class={classes} onClick={() => (location.hash = href)}>
      <td class="quiet mono">{clock(row.start)}</td>
      <td class="quiet">{row.service}</td>
      <td class="mono">{row.method}</td>
      <td class="wide">
        <a href={href} title={row.path}>{row.route || row.path}</a>
        {row.route && row.path !== row.route && <span class="quiet path">{row.path}</span>}
      </td>
      <td class="number"><Status row={row} /></td>
      <td class="number duration">
        <span>{row.pending ? "…" : duration(row.duration_ns)}</span>
        <i style={{ width: `${share}%` }} />
      </td>
      <td class={row.queries >= 10 ? "number many" : "number"}>{row.queries || ""}</td>
      <td class="number">{row.calls || ""}</td>
      <td class="number">{row.logs || ""}</td>
    </tr>
  );
}

export function Status({ row }: { row: RequestRow }) {
  if (row.status === null) return <span class="quiet">{row.error ? "failed" : "–"}</span>;
  return <span class={`status s${Math.floor(row.status / 100)}`}>{row.status}</span>;
}
