/** The list of requests, as they come. */

import { Component } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { RequestRow } from "./api";
import { clock, duration, shortClock } from "./format";
import * as state from "./state";

export function RequestList() {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "asynchooks";
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "/" && document.activeElement !== box.current) {
        event.preventDefault();
        box.current?.focus();
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        if (moveFocus(event.key === "ArrowDown" ? 1 : -1)) event.preventDefault();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const rows = state.requests.value;
  const slowest = Math.max(1, ...rows.slice(0, 200).map((row) => row.duration_ns));
  const isEmpty = rows.length === 0 && state.loaded.value && !state.filterError.value;
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
            state.setFilter(event.currentTarget.value);
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
          <thead hidden={rows.length === 0}>
            <tr>
              <th class="clock">Time</th>
              <th class="service">Service</th>
              <th class="method">Method</th>
              <th>Route</th>
              <th class="number">Status</th>
              <th class="number duration">Duration</th>
              <th class="number">Queries</th>
              <th class="number">Calls</th>
              <th class="number">Logs</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => <Row key={row.id} row={row} share={share(row, slowest)} />)}
          </tbody>
        </table>
        {isEmpty && <Empty />}
        {rows.length > 0 && state.hasMore.value && (
          <button type="button" class="more" onClick={() => void state.loadMore()}>Older</button>
        )}
      </main>
    </>
  );
}

/** From row to row, and between the box and the first one. False where there is none. */
function moveFocus(step: number): boolean {
  const links = [...document.querySelectorAll<HTMLElement>(".filter, .requests tbody a")];
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = links[at < 0 ? 1 : at + step];
  next?.focus();
  return next !== undefined;
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

/** How long the bar of a row is, in per cent. By the root: one slow request must not make all
 * others look alike. */
function share(row: RequestRow, slowest: number): number {
  return Math.min(100, Math.ceil(100 * Math.sqrt(row.duration_ns / slowest)));
}

interface RowProps {
  row: RequestRow;
  share: number;
}

/** Drawn anew only when it has changed: there are thousands, and they come many times a second. */
class Row extends Component<RowProps> {
  override shouldComponentUpdate(next: RowProps): boolean {
    return next.row !== this.props.row || next.share !== this.props.share;
  }

  override render({ row, share }: RowProps) {
    return <Cells row={row} share={share} />;
  }
}

function Cells({ row, share }: RowProps) {
  const href = `#/${row.trace_id}/${row.span_id}`;
  const classes = [row.error && "failed", row.pending && "pending"].filter(Boolean).join(" ");
  return (
    <tr class={classes} onClick={() => String(getSelection()) || (location.hash = href)}>
      <td class="quiet mono" title={clock(row.start)}>{shortClock(row.start)}</td>
      <td class="quiet service" title={row.service}>{row.service}</td>
      <td class="mono">{row.method}</td>
      <td class="route">
        <a href={href} title={row.path}>{row.route || row.path}</a>
        {row.errors > 0 && !row.error && (
          <b class="part" title="The request went well, and something that it caused did not">
            {row.errors} failed
          </b>
        )}
        {row.route && row.path !== row.route && <span class="quiet path">{row.path}</span>}
      </td>
      <td class="number"><Status row={row} /></td>
      <td class="number duration">
        <span>{row.pending ? "…" : duration(row.duration_ns)}</span>
        {!row.pending && <i style={{ width: `${share}%` }} />}
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
