/** From the spans of a trace to the rows of its waterfall. No DOM here: see tree.test.ts. */

import type { Span, SpanEvent } from "./api";

export interface Node {
  span: Span;
  parent: Node | null;
  children: Node[];
  /** The same number for spans that are alike: statement, call or name, and alike below. */
  likeness: number;
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
  /** All of them, as they stand in the waterfall: each before what is below it. */
  nodes: Node[];
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
    const node = { span, parent: null, children: [], likeness: 0, offset, failsBelow: false };
    nodes.set(span.span_id, node);
  }
  const roots: Node[] = [];
  let length = 1;
  for (const node of nodes.values()) {
    length = Math.max(length, node.offset + node.span.duration_ns);
    const parent = node.span.parent_span_id ? nodes.get(node.span.parent_span_id) : undefined;
    if (parent && parent !== node) {
      node.parent = parent;
      parent.children.push(node);
    } else roots.push(node);
  }
  const byStart = (a: Node, b: Node) => a.offset - b.offset;
  roots.sort(byStart);
  for (const node of nodes.values()) node.children.sort(byStart);
  const ordered = topDown(roots);
  markFailures(ordered);
  markLikeness(ordered);
  return { roots, nodes: ordered, start, length };
}

/** Without recursion, here and below: tasks that create the next one make long chains. */
function topDown(roots: Node[]): Node[] {
  const ordered: Node[] = [];
  const waiting = [...roots].reverse();
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    ordered.push(node);
    for (let i = node.children.length - 1; i >= 0; i--) waiting.push(node.children[i]!);
  }
  return ordered;
}

function markFailures(ordered: Node[]): void {
  for (let i = ordered.length - 1; i >= 0; i--) {
    const { failsBelow, parent, span } = ordered[i]!;
    if (parent && (failsBelow || span.status === 2)) parent.failsBelow = true;
  }
}

function markLikeness(ordered: Node[]): void {
  const numbers = new Map<string, number>();
  for (let i = ordered.length - 1; i >= 0; i--) {
    const node = ordered[i]!;
    const key = `${ownLikeness(node.span)}\n${node.children.map((child) => child.likeness)}`;
    const number = numbers.get(key) ?? numbers.size + 1;
    numbers.set(key, number);
    node.likeness = number;
  }
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
  const alike = new Map<number, Node[]>();
  for (const child of children) {
    const nodes = alike.get(child.likeness);
    if (nodes) nodes.push(child);
    else alike.set(child.likeness, [child]);
  }
  const folded: (Node | Group)[] = [];
  for (const child of children) {
    const nodes = alike.get(child.likeness)!;
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

/** What becomes a row, and then what is below it. */
type Item =
  | { type: "span"; depth: number; offset: number; node: Node }
  | { type: "group"; depth: number; offset: number; group: Group }
  | { type: "log"; depth: number; offset: number; event: SpanEvent; owner: Node; key: string };

/** The rows to show, top down. */
export function rows(tree: Tree, view: View): Row[] {
  const out: Row[] = [];
  const wanted = view.text.trim().toLowerCase();
  const visible = wanted ? matching(tree, wanted) : undefined;

  function logsOf(node: Node, depth: number): Item[] {
    const key = node.span.span_id;
    const logs = node.span.events.filter((event) => event.name === "log");
    return logs.map((event, i) => {
      const offset = Number(BigInt(event.time) - tree.start);
      return { type: "log", depth, offset, event, owner: node, key: `${key} log ${i}` };
    });
  }

  function asItem(part: Node | Group, depth: number): Item {
    return "span" in part
      ? { type: "span", depth, offset: part.offset, node: part }
      : { type: "group", depth, offset: part.offset, group: part };
  }

  /** Adds the row of an item. Returns what is to be shown below it. */
  function add(item: Item): Item[] {
    if (item.type === "log") {
      if (!wanted || logMessage(item.event).toLowerCase().includes(wanted)) out.push(item);
      return [];
    }
    const depth = item.depth + 1;
    if (item.type === "group") {
      const { key, nodes } = item.group;
      const expanded = view.toggled.has(key);
      out.push({ type: "group", depth: item.depth, group: item.group, expanded, key });
      return expanded ? nodes.map((node) => asItem(node, depth)) : [];
    }
    const { node } = item;
    if (visible && !visible.has(node)) return [];
    const key = node.span.span_id;
    const logs = logsOf(node, depth);
    const expandable = node.children.length > 0 || logs.length > 0;
    const expanded = expandable && (wanted !== "" || !view.toggled.has(key));
    out.push({ type: "span", depth: item.depth, node, expandable, expanded, key });
    if (!expanded) return [];
    const below = visible ? node.children : fold(node.children);
    return [...below.map((part) => asItem(part, depth)), ...logs].sort((a, b) => a.offset - b.offset);
  }

  const waiting = tree.roots.map((root) => asItem(root, 0)).reverse();
  for (let item = waiting.pop(); item; item = waiting.pop()) waiting.push(...add(item).reverse());
  return out;
}

/** What has to be toggled so that the row of `node` is shown: all above it open, its groups too. */
export function reveal(node: Node, toggled: ReadonlySet<string>): Set<string> {
  const next = new Set(toggled);
  for (let at = node; at.parent; at = at.parent) {
    next.delete(at.parent.span.span_id);
    for (const item of fold(at.parent.children)) {
      if ("nodes" in item && item.nodes.includes(at)) next.add(item.key);
    }
  }
  return next;
}

/** The nodes that have the text, with all above them. */
function matching(tree: Tree, text: string): Set<Node> {
  const found = new Set<Node>();
  for (let i = tree.nodes.length - 1; i >= 0; i--) {
    const node = tree.nodes[i]!;
    if (!found.has(node) && !haystack(node.span).includes(text)) continue;
    found.add(node);
    if (node.parent) found.add(node.parent);
  }
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
  return category(span) === "task" ? shortName(span.name) : span.name;
}

/** The end of a long dotted name, which is what tells it from others. */
function shortName(name: string): string {
  const parts = name.replace(/^task /, "").replaceAll("<locals>.", "").split(".");
  return `task ${parts.slice(-2).join(".")}`;
}

/** Where the line of `site` was called from, from the inside out: places as `site` has them, and the
 * functions' names. */
export function callers(attributes: Span["attributes"]): { at: string; name: string }[] {
  const stack = attributes["code.stacktrace"];
  if (typeof stack !== "string") return [];
  const frames = [...stack.matchAll(/File "(.*)", line (\d+), in (.*)/g)];
  const places = frames.map(([, path = "", line, name = ""]) => ({
    at: site({ "code.file.path": path, "code.line.number": Number(line) }),
    name,
  }));
  // A comprehension is a function at the line of its own function.
  const distinct = places.filter(({ at }, i) => at !== places[i - 1]?.at);
  return distinct.slice(0, -1).reverse();
}

/** The line of the user's code that started a span: its file's last parts, and the line. */
export function site(attributes: Span["attributes"], parts = 2): string {
  const path = attributes["code.file.path"];
  if (typeof path !== "string") return "";
  const short = path.split("/").slice(-parts).join("/");
  const line = attributes["code.line.number"];
  return line === undefined ? short : `${short}:${line}`;
}
