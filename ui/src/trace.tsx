/** One request: what it did, nested by cause, over time. */

import { useEffect, useMemo, useState } from "preact/hooks";
import type { RequestRow } from "./api";
import { Details } from "./details";
import { clock, duration } from "./format";
import { Status } from "./list";
import * as state from "./state";
import { selected } from "./state";
import { buildTree, rows } from "./tree";
import { Waterfall } from "./waterfall";

export function TracePage() {
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [text, setText] = useState("");
  const trace = state.trace.value;
  const tree = useMemo(() => (trace ? buildTree(trace.spans) : null), [trace]);
  const shown = useMemo(() => (tree ? rows(tree, { toggled, text }) : []), [tree, toggled, text]);
  useEffect(() => {
    selected.value = state.route.value.spanId;
  }, [state.route.value.spanId]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !(event.target instanceof HTMLInputElement)) location.hash = "#/";
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  function toggle(key: string): void {
    const next = new Set(toggled);
    if (!next.delete(key)) next.add(key);
    setToggled(next);
  }

  function nextFailure(): void {
    const failures = shown.filter((row) => row.type === "span" && row.node.span.status === 2);
    const at = failures.findIndex((row) => row.key === selected.value);
    const next = failures[(at + 1) % failures.length];
    if (next) selected.value = next.key;
  }

  if (!trace || !tree) {
    return (
      <>
        <Bar />
        <p class="empty">{state.traceError.value || "Loading…"}</p>
      </>
    );
  }
  const request = state.selectedRequest.value;
  const current = shown.find((row) => row.key === selected.value) ?? shown[0];
  const failures = trace.spans.filter((span) => span.status === 2).length;
  return (
    <>
      <Bar>
        <input
          class="filter"
          type="search"
          aria-label="Filter spans"
          placeholder="Find in this request"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {failures > 0 && (
          <button type="button" onClick={nextFailure}>Next failure ({failures})</button>
        )}
      </Bar>
      {request && <Facts request={request} traceId={trace.trace_id} />}
      <main class="trace">
        <Waterfall rows={shown} tree={tree} onToggle={toggle} />
        {current && <Details row={current} tree={tree} />}
      </main>
    </>
  );
}

function Bar({ children }: { children?: preact.ComponentChildren }) {
  return (
    <header class="bar">
      <h1><a href="#/">asynchooks</a></h1>
      <a class="back" href="#/">← Requests</a>
      {children}
    </header>
  );
}

function Facts({ request, traceId }: { request: RequestRow; traceId: string }) {
  useEffect(() => {
    document.title = `${request.method} ${request.route || request.path} – asynchooks`;
  }, [request]);
  const facts: [string, preact.ComponentChildren][] = [
    ["duration", duration(request.duration_ns)],
    ["queries", request.queries],
    ["calls", request.calls],
    ["log lines", request.logs],
    ["at", clock(request.start)],
    ["service", request.service],
    ["request id", <code>{request.request_id || "–"}</code>],
    ["trace", <code>{traceId}</code>],
  ];
  if (request.user) facts.push(["user", request.user]);
  return (
    <section class="facts">
      <h2>
        <Status row={request} /> {request.method} {request.route || request.path}
        {request.path !== request.route && <span class="quiet path">{request.path}</span>}
      </h2>
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
        ))}
      </dl>
    </section>
  );
}
