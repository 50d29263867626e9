/** All that is known of one row. */

import type { Attributes, SpanEvent, Value } from "./api";
import { clock, duration } from "./format";
import { callers, category, logMessage, type Row, site, type Tree } from "./tree";

export function Details({ row, tree }: { row: Row; tree: Tree }) {
  if (row.type === "log") {
    return (
      <aside class="details">
        <h3>{String(row.event.attributes["log.severity"] ?? "log")}</h3>
        <pre>{logMessage(row.event)}</pre>
        <Site attributes={row.event.attributes} what="logged at" />
        <Table attributes={row.event.attributes} without={["log.message"]} />
      </aside>
    );
  }
  const span = row.type === "span" ? row.node.span : row.group.nodes[0]!.span;
  const offset = row.type === "span" ? row.node.offset : row.group.offset;
  const query = span.attributes["db.query.text"];
  const exceptions = span.events.filter((event) => event.name === "exception");
  return (
    <aside class="details">
      <h3>
        {row.type === "group" && `${row.group.nodes.length} × `}
        {span.name}
      </h3>
      <p class="quiet">
        {category(span)} · {span.service} ·{" "}
        {row.type === "group"
          ? `${duration(row.group.total)} in all`
          : duration(span.duration_ns)}
        <br />
        {clock(span.start)}
        {offset > 0 && `, ${duration(offset)} from the start`}
      </p>
      {row.type === "group" && span.is_query && (
        <p class="advice">
          The same statement {row.group.nodes.length} times below one parent. One query with a join
          or <code>WHERE … IN (…)</code> would do.
        </p>
      )}
      {span.status === 2 && span.message && <p class="problem">{span.message}</p>}
      {typeof query === "string" && <pre class="sql">{query}</pre>}
      <Site attributes={span.attributes} what="started at" />
      {exceptions.map((event) => <Exception key={event.time} event={event} />)}
      <Table attributes={span.attributes} without={["db.query.text"]} />
      {span.links.map((link) => (
        <p key={link.span_id}>
          linked to <a href={`#/${link.trace_id}/${link.span_id}`}><code>{link.span_id}</code></a>
        </p>
      ))}
      <p class="quiet">
        span <code>{span.span_id}</code>
        {tree.roots.length > 1 && span.parent_span_id && <> below <code>{span.parent_span_id}</code></>}
      </p>
    </aside>
  );
}

function Site({ attributes, what }: { attributes: Attributes; what: string }) {
  const short = site(attributes);
  if (!short) return null;
  const name = attributes["code.function.name"];
  return (
    <p class="where" title={String(attributes["code.file.path"])}>
      {what} <code>{short}</code>{name !== undefined && <> in <code>{String(name)}</code></>}
      {callers(attributes).map((caller) => (
        <span class="caller" key={caller.at}>
          called at <code>{caller.at}</code> in <code>{caller.name}</code>
        </span>
      ))}
    </p>
  );
}

function Exception({ event }: { event: SpanEvent }) {
  return (
    <details class="exception">
      <summary>
        {String(event.attributes["exception.type"])}: {String(event.attributes["exception.message"])}
      </summary>
      <pre>{String(event.attributes["exception.stacktrace"] ?? "")}</pre>
    </details>
  );
}

function Table({ attributes, without }: { attributes: Attributes; without: string[] }) {
  // Where it is in the code, `Site` has said.
  const entries = Object.entries(attributes).filter(
    ([key]) => !without.includes(key) && !key.startsWith("code."),
  );
  if (entries.length === 0) return null;
  return (
    <table class="attributes">
      <tbody>
        {entries.sort(([a], [b]) => a.localeCompare(b)).map(([key, value]) => (
          <tr key={key}><th scope="row">{key}</th><td>{text(value)}</td></tr>
        ))}
      </tbody>
    </table>
  );
}

function text(value: Value): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
