/** The rows of a request, only as many in the page as can be seen. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { duration } from "./format";
import { selected } from "./state";
import { category, label, logMessage, type Row, site, type Tree } from "./tree";

const ROW_HEIGHT = 26;
const MARGIN = 12; // rows kept above and below the visible ones
// How far in the deepest rows begin, in pixels, and how far a level is from the next.
const INDENT = 168;
const STEP = { most: 14, least: 4 };

interface Props {
  rows: Row[];
  tree: Tree;
  onToggle: (key: string) => void;
}

export function Waterfall({ rows, tree, onToggle }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(800);
  useEffect(() => {
    const element = frame.current!;
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const at = rows.findIndex((row) => row.key === selected.value);
    const element = frame.current!;
    if (at < 0) return;
    if (at * ROW_HEIGHT < element.scrollTop) element.scrollTop = at * ROW_HEIGHT;
    const below = (at + 2) * ROW_HEIGHT - element.clientHeight;
    if (below > element.scrollTop) element.scrollTop = below;
  }, [selected.value, rows]);

  const deepest = useMemo(() => rows.reduce((most, row) => Math.max(most, row.depth), 1), [rows]);
  const step = Math.max(STEP.least, Math.min(STEP.most, INDENT / deepest));
  const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - MARGIN);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW_HEIGHT) + MARGIN);

  function onKeyDown(event: KeyboardEvent): void {
    const at = Math.max(0, rows.findIndex((row) => row.key === selected.value));
    const row = rows[at];
    if (!row) return;
    const expanded = row.type !== "log" && row.expanded;
    const expandable = row.type === "group" || (row.type === "span" && row.expandable);
    const go = (to: number) => (selected.value = rows[Math.min(rows.length - 1, Math.max(0, to))]!.key);
    switch (event.key) {
      case "ArrowDown": go(at + 1); break;
      case "ArrowUp": go(at - 1); break;
      case "Home": go(0); break;
      case "End": go(rows.length - 1); break;
      case "ArrowRight": if (expandable && !expanded) onToggle(row.key); else go(at + 1); break;
      case "ArrowLeft":
        if (expandable && expanded) onToggle(row.key);
        else go(rows.slice(0, at).findLastIndex((above) => above.depth < row.depth));
        break;
      case "Enter": if (expandable) onToggle(row.key); break;
      default: return;
    }
    event.preventDefault();
  }

  return (
    <section class="waterfall">
      <Ruler length={tree.length} />
      <div
        ref={frame}
        class="rows"
        role="treegrid"
        aria-label="Spans of this request"
        aria-rowcount={rows.length}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div role="rowgroup" style={{ height: `${rows.length * ROW_HEIGHT}px` }}>
          <div style={{ transform: `translateY(${first * ROW_HEIGHT}px)` }}>
            {rows.slice(first, last).map((row, i) => (
              <RowLine
                key={row.key}
                row={row}
                index={first + i}
                indent={Math.min(INDENT, row.depth * step)}
                tree={tree}
                onToggle={onToggle}
              />
            ))}
          </div>
        </div>
      </div>
    </section>
  );
}

function Ruler({ length }: { length: number }) {
  return (
    <div class="ruler" aria-hidden="true">
      <span />
      <div>{[0, 0.25, 0.5, 0.75, 1].map((share) => (
        <i key={share} style={{ left: `${share * 100}%` }}>{share === 0 ? "0" : duration(Math.round(length * share))}</i>
      ))}</div>
      <span />
    </div>
  );
}

interface LineProps {
  row: Row;
  index: number;
  indent: number;
  tree: Tree;
  onToggle: (key: string) => void;
}

function RowLine({ row, index, indent, tree, onToggle }: LineProps) {
  const isSelected = row.key === selected.value;
  const expandable = row.type === "group" || (row.type === "span" && row.expandable);
  const expanded = row.type !== "log" && row.expanded;
  const share = (ns: number) => `${(100 * ns) / tree.length}%`;
  const failed =
    row.type === "span" ? row.node.span.status === 2
    : row.type === "group" && row.group.nodes.some((node) => node.span.status === 2);
  const kind = kindOf(row);
  const classes = ["row", kind, isSelected && "selected", failed && "failed",
    row.type === "span" && row.node.failsBelow && "fails-below"].filter(Boolean).join(" ");
  return (
    <div
      class={classes}
      role="row"
      aria-level={row.depth + 1}
      aria-rowindex={index + 1}
      aria-selected={isSelected}
      aria-expanded={expandable ? expanded : undefined}
      onClick={() => (selected.value = row.key)}
      onDblClick={() => expandable && onToggle(row.key)}
    >
      <span class="cell" role="gridcell" style={{ paddingLeft: `${indent + 4}px` }}>
        <button
          type="button"
          tabIndex={-1}
          class="twist"
          aria-label={expanded ? "Collapse" : "Expand"}
          hidden={!expandable}
          onClick={(event) => {
            event.stopPropagation();
            onToggle(row.key);
          }}
        >
          {expanded ? "▾" : "▸"}
        </button>
        <Label row={row} />
      </span>
      <span class="cell time" role="gridcell">
        {row.type === "log" ? (
          <i class="moment" style={{ left: share(row.offset) }} />
        ) : (
          <Bar row={row} share={share} />
        )}
      </span>
      <span class="cell took" role="gridcell">{took(row)}</span>
    </div>
  );
}

function kindOf(row: Row): string {
  if (row.type === "log") return `log ${String(row.event.attributes["log.severity"] ?? "").toLowerCase()}`;
  return category(row.type === "span" ? row.node.span : row.group.nodes[0]!.span);
}

function Label({ row }: { row: Row }) {
  if (row.type === "log") {
    const severity = String(row.event.attributes["log.severity"] ?? "log");
    return (
      <>
        <b class="tag">{severity}</b> <span class="text">{logMessage(row.event)}</span>
      </>
    );
  }
  if (row.type === "group") {
    const first = row.group.nodes[0]!.span;
    const count = row.group.nodes.length;
    return (
      <>
        {first.is_query ? (
          <b class="repeat bad" title="The same query again and again: N+1">×{count} N+1</b>
        ) : (
          <b class="repeat" title="Repeated">×{count}</b>
        )}{" "}
        <span class="text">{label(first)}</span>
        <span class="site"><bdi>{site(first.attributes, 1)}</bdi></span>
      </>
    );
  }
  const { span } = row.node;
  return (
    <>
      {span.kind === 2 && <b class="tag">{span.service}</b>} <span class="text">{label(span)}</span>
      <span class="site"><bdi>{site(span.attributes, 1)}</bdi></span>
    </>
  );
}

function Bar({ row, share }: { row: Exclude<Row, { type: "log" }>; share: (ns: number) => string }) {
  const offset = row.type === "span" ? row.node.offset : row.group.offset;
  const width = row.type === "span" ? row.node.span.duration_ns : row.group.duration;
  return <i class="line" style={{ left: share(offset), width: `max(2px, ${share(width)})` }} />;
}

/** A span's own time; of a group the sum. */
function took(row: Row): string {
  if (row.type === "log") return "";
  return row.type === "span" ? duration(row.node.span.duration_ns) : `Σ ${duration(row.group.total)}`;
}
