/** From the spans of a trace to the rows of its waterfall. No DOM here: see tree.test.ts. */

import type { Span, SpanEvent } from "./api";

export interface Node {
  span: Span;
  children: Node[];
  /** ns from the start of the trace. */
  offset: number;
  /** A span below this one failed. */
  failsBelow: boolean;
}

/** Alike spans that follow each other below one parent, from MINIMUM_REPEATS on. */
export interface Group {
  key: string;
  nodes: Node[];
  offset: number;
  duration: number;
  /** The time of all of them together, in ns. */
  total: number;
}

export type Row =
  | { type: "span"; depth: number; node: Node; expandable: boolean; expanded: boolean; key: string }
  | { type: "group"; depth: number; group: Group; expanded: boolean; key: string }
  | { type: "log"; depth: number; event: SpanEvent; offset: number; owner: Node; key: string };

export const MINIMUM_REPEATS = 3;

export interface Tree {
  roots: Node[];
  /** ns since the epoch. */
  start: bigint;
  /** ns, from the first start to the last end. */
  length: number;
}

/** Nests spans by cause. One whose parent is not there is a root. */
export function buildTree(spans: Span[]): Tree {
  const start = spans.reduce((least, span) => {
    const at = BigInt(span.start);
    return at < least ? at : least;
  }, BigInt(spans[0]?.start ?? "0"));
  const nodes = new Map<string, Node>();
  for (const span of spans) {
    const offset = Number(BigInt(span.start) - start);
    nodes.set(span.span_id, { span, children: [], offset, failsBelow: false });
  }
  const roots: Node[] = [];
  let length = 1;
  for (const node of nodes.values()) {
    length = Math.max(length, node.offset + node.span.duration_ns);
    const parent = node.span.parent_span_id ? nodes.get(node.span.parent_span_id) : undefined;
    (parent && parent !== node ? parent.children : roots).push(node);
  }
  const byStart = (a: Node, b: Node) => a.offset - b.offset;
  roots.sort(byStart);
  for (const node of nodes.values()) node.children.sort(byStart);
  for (const root of roots) markFailures(root);
  return { roots, start, length };
}

function markFailures(node: Node): boolean {
  for (const child of node.children) {
    if (markFailures(child)) node.failsBelow = true;
  }
  return node.failsBelow || node.span.status === 2;
}

/** What makes two siblings alike: the same statement, call or name, and alike below. */
export function likeness(node: Node): string {
  return [ownLikeness(node.span), ...node.children.map(likeness)].join("\n");
}

function ownLikeness(span: Span): string {
  const text = span.attributes["db.query.text"];
  if (typeof text === "string") return text.replace(/\/\*.*?\*\//gs, "").replace(/\s+/g, " ").trim();
  const url = span.attributes["url.full"];
  return `${span.kind} ${span.name} ${typeof url === "string" ? url.replace(/\?.*/s, "") : ""}`;
}

/**
 * The children of a node with alike ones folded. Alike ones need not follow each other directly: in
 * a loop over A and B, both fold. Groups stand where their first member does.
 */
export function fold(children: Node[]): (Node | Group)[] {
  const alike = new Map<string, Node[]>();
  const keys = new Map<Node, string>();
  for (const child of children) {
    const key = likeness(child);
    keys.set(child, key);
    const nodes = alike.get(key);
    if (nodes) nodes.push(child);
    else alike.set(key, [child]);
  }
  const folded: (Node | Group)[] = [];
  for (const child of children) {
    const nodes = alike.get(keys.get(child)!)!;
    if (nodes.length < MINIMUM_REPEATS) folded.push(child);
    else if (nodes[0] === child) folded.push(makeGroup(nodes));
  }
  return folded;
}

function makeGroup(nodes: Node[]): Group {
  const offset = Math.min(...nodes.map((node) => node.offset));
  const end = Math.max(...nodes.map((node) => node.offset + node.span.duration_ns));
  const total = nodes.reduce((sum, node) => sum + node.span.duration_ns, 0);
  return { key: `group ${nodes[0]!.span.span_id}`, nodes, offset, duration: end - offset, total };
}

export interface View {
  /** Keys whose state is not what it is at first: spans are open, groups are closed. */
  toggled: ReadonlySet<string>;
  /** Show only what has this text, and what it lies below. */
  text: string;
}

/** The rows to show, top down. */
export function rows(tree: Tree, view: View): Row[] {
  const out: Row[] = [];
  const wanted = view.text.trim().toLowerCase();
  const visible = wanted ? matching(tree.roots, wanted) : undefined;

  function addSpan(node: Node, depth: number): void {
    if (visible && !visible.has(node)) return;
    const key = node.span.span_id;
    const logs = node.span.events.filter((event) => event.name === "log");
    const expandable = node.children.length > 0 || logs.length > 0;
    const expanded = expandable && (wanted !== "" || !view.toggled.has(key));
    out.push({ type: "span", depth, node, expandable, expanded, key });
    if (!expanded) return;
    const below = visible ? node.children : fold(node.children);
    const items = [
      ...below.map((item) => ({ offset: item.offset, item })),
      ...logs.map((event) => ({ offset: Number(BigInt(event.time) - tree.start), item: event })),
    ].sort((a, b) => a.offset - b.offset);
    for (const { item, offset } of items) {
      if ("span" in item) addSpan(item, depth + 1);
      else if ("nodes" in item) addGroup(item, depth + 1);
      else if (!wanted || logMessage(item).toLowerCase().includes(wanted)) {
        const at = `${key} log ${out.length}`;
        out.push({ type: "log", depth: depth + 1, event: item, offset, owner: node, key: at });
      }
    }
  }

  function addGroup(group: Group, depth: number): void {
    const expanded = view.toggled.has(group.key);
    out.push({ type: "group", depth, group, expanded, key: group.key });
    if (expanded) for (const node of group.nodes) addSpan(node, depth + 1);
  }

  for (const root of tree.roots) addSpan(root, 0);
  return out;
}

/** The nodes that have the text, with all above them. */
function matching(roots: Node[], text: string): Set<Node> {
  const found = new Set<Node>();
  function visit(node: Node): boolean {
    let hit = haystack(node.span).includes(text);
    for (const child of node.children) if (visit(child)) hit = true;
    if (hit) found.add(node);
    return hit;
  }
  for (const root of roots) visit(root);
  return found;
}

function haystack(span: Span): string {
  const logs = span.events.map(logMessage).join("\n");
  return `${span.name}\n${Object.values(span.attributes).join("\n")}\n${logs}`.toLowerCase();
}

export function logMessage(event: SpanEvent): string {
  return String(event.attributes["log.message"] ?? event.name);
}

/** What a span is, for its colour and badge. */
export function category(span: Span): "request" | "query" | "call" | "task" | "background" | "span" {
  if (span.kind === 2) return "request";
  if (span.is_query) return "query";
  if (span.is_call) return "call";
  if (span.attributes["asynchooks.background"]) return "background";
  if (span.attributes["asynchooks.kind"] === "task") return "task";
  return "span";
}

/** What a row says: the statement of a query, the address of a call, else the name. */
export function label(span: Span): string {
  const query = span.attributes["db.query.text"];
  if (typeof query === "string") return query.replace(/\s+/g, " ").trim();
  const url = span.attributes["url.full"];
  if (typeof url === "string" && span.is_call) return `${span.name} ${url.replace(/^\w+:\/\/[^/]*/, "")}`;
  return span.name;
}

/** The line of the user's code that started a span: its file's last parts, and the line. */
export function site(attributes: Span["attributes"]): string {
  const path = attributes["code.file.path"];
  if (typeof path !== "string") return "";
  const short = path.split("/").slice(-2).join("/");
  const line = attributes["code.line.number"];
  return line === undefined ? short : `${short}:${line}`;
}
