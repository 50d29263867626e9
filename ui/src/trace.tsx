/** One request: what it did, nested by cause, over time. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { RequestRow } from "./api";
import { Details } from "./details";
import { clock, duration } from "./format";
import { Status } from "./list";
import * as state from "./state";
import { selected } from "./state";
import { buildTree, type Node, reveal, rows } from "./tree";
import { Waterfall } from "./waterfall";

export function TracePage() {
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [text, setText] = useState("");
  const box = useRef<HTMLInputElement>(null);
  const trace = state.trace.value;
  const tree = useMemo(() => (trace ? buildTree(trace.spans) : null), [trace]);
  const shown = useMemo(() => (tree ? rows(tree, { toggled, text }) : []), [tree, toggled, text]);
  const failures = useMemo(() => tree?.nodes.filter(({ span }) => span.status === 2) ?? [], [tree]);
  useEffect(() => {
    show(tree?.nodes.find(({ span }) => span.span_id === state.route.value.spanId));
  }, [state.route.value.spanId, tree !== null]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.target instanceof HTMLInputElement) return;
      if (event.key === "Escape") location.hash = state.listHref.value;
      if (event.key === "/") {
        event.preventDefault();
        box.current?.focus();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  function toggle(key: string): void {
    const next = new Set(toggled);
    if (!next.delete(key)) next.add(key);
    setToggled(next);
  }

  /** Select a span, and open what hides it. */
  function show(node: Node | undefined): void {
    if (!node) return;
    setToggled((now) => reveal(node, now));
    selected.value = node.span.span_id;
  }

  function nextFailure(): void {
    const at = failures.findIndex(({ span }) => span.span_id === selected.value);
    setText("");
    show(failures[(at + 1) % failures.length]);
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
  return (
    <>
      <Bar>
        <input
          ref={box}
          class="filter"
          type="search"
          aria-label="Filter spans"
          placeholder="Find in this request   ( / )"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {failures.length > 0 && (
          <button type="button" onClick={nextFailure}>Next failure ({failures.length})</button>
        )}
      </Bar>
      {request && <Facts request={request} traceId={trace.trace_id} />}
      <main class="trace">
        {shown.length > 0 ? (
          <Waterfall rows={shown} tree={tree} onToggle={toggle} />
        ) : (
          <p class="empty">Nothing in this request has “{text}”.</p>
        )}
        {current && <Details row={current} tree={tree} />}
      </main>
    </>
  );
}

function Bar({ children }: { children?: preact.ComponentChildren }) {
  return (
    <header class="bar">
      <h1><a href={state.listHref.value}>asynchooks</a></h1>
      <a class="back" href={state.listHref.value}>← Requests</a>
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
