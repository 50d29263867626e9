import { describe, expect, it } from "vitest";
import type { Span } from "./api";
import { duration } from "./format";
import { buildTree, callers, fold, label, reveal, rows, site } from "./tree";

let made = 0;

function span(fields: Partial<Span> & { at?: number; below?: Span; sql?: string } = {}): Span {
  const { at = 0, below, sql, ...rest } = fields;
  return {
    span_id: `s${made++}`,
    parent_span_id: below?.span_id ?? null,
    service: "shop",
    name: sql ? "SELECT" : "work",
    kind: sql ? 3 : 1,
    start: String(1_700_000_000_000_000_000n + BigInt(at)),
    duration_ns: 10,
    status: 0,
    message: "",
    is_query: sql !== undefined,
    is_call: false,
    attributes: sql ? { "db.query.text": sql } : {},
    events: [],
    links: [],
    ...rest,
  };
}

const none: ReadonlySet<string> = new Set();

describe("buildTree", () => {
  it("nests by cause, in order of time, also where children came first", () => {
    const root = span({ duration_ns: 100 });
    const late = span({ below: root, at: 50 });
    const early = span({ below: root, at: 5 });
    const tree = buildTree([late, early, root]);
    expect(tree.roots.map((node) => node.span)).toEqual([root]);
    expect(tree.roots[0]!.children.map((node) => node.span)).toEqual([early, late]);
    expect(tree.length).toBe(100);
  });

  it("keeps a span whose parent is not there as a root", () => {
    const tree = buildTree([span({ parent_span_id: "elsewhere" }), span({ at: 1 })]);
    expect(tree.roots).toHaveLength(2);
  });

  it("counts ns exactly, which the numbers of JavaScript cannot from 1970 on", () => {
    const tree = buildTree([span({ at: 0 }), span({ at: 1 })]);
    expect(tree.roots.map((node) => node.offset)).toEqual([0, 1]);
  });

  it("marks what lies above a failure", () => {
    const root = span();
    const middle = span({ below: root });
    const failed = span({ below: middle, status: 2 });
    const [top] = buildTree([root, middle, failed]).roots;
    expect(top!.failsBelow).toBe(true);
    expect(top!.children[0]!.failsBelow).toBe(true);
    expect(top!.children[0]!.children[0]!.failsBelow).toBe(false);
  });
});

describe("fold", () => {
  const folded = (spans: (root: Span) => Span[]) => {
    const root = span();
    return fold(buildTree([root, ...spans(root)]).roots[0]!.children);
  };

  it("folds alike queries, also where they alternate with others", () => {
    const items = folded((root) =>
      [0, 1, 2, 3].flatMap((i) => [
        span({ below: root, sql: "SELECT a /* r1 */", at: 10 * i }),
        span({ below: root, sql: "SELECT  b", at: 10 * i + 5 }),
      ]),
    );
    expect(items.map((item) => ("nodes" in item ? item.nodes.length : 1))).toEqual([4, 4]);
  });

  it("does not fold two", () => {
    expect(folded((root) => [0, 1].map((at) => span({ below: root, sql: "SELECT a", at })))).toHaveLength(2);
  });

  it("does not fold what is alike itself and differs below", () => {
    const items = folded((root) =>
      ["SELECT a", "SELECT b", "SELECT c"].flatMap((sql, at) => {
        const task = span({ below: root, name: "task", at });
        return [task, span({ below: task, sql, at })];
      }),
    );
    expect(items.every((item) => "span" in item)).toBe(true);
  });
});

describe("rows", () => {
  const root = span({ duration_ns: 1000 });
  const queries = [1, 2, 3, 4].map((i) => span({ below: root, sql: "SELECT x FROM t", at: 100 * i }));
  const call = span({ below: root, name: "GET", at: 50 });
  root.events = [{ name: "log", time: queries[2]!.start, attributes: { "log.message": "half way" } }];
  const tree = buildTree([root, ...queries, call]);
  const kinds = (toggled: ReadonlySet<string>, text = "") =>
    rows(tree, { toggled, text }).map((row) => row.type);

  it("shows spans open, groups closed, log lines at their time", () => {
    expect(kinds(none)).toEqual(["span", "span", "group", "log"]);
  });

  it("opens a group and closes a span", () => {
    const group = rows(tree, { toggled: none, text: "" }).find((row) => row.type === "group")!;
    expect(kinds(new Set([group.key]))).toEqual(["span", "span", "group", "span", "span", "span", "span", "log"]);
    expect(kinds(new Set([root.span_id]))).toEqual(["span"]);
  });

  it("filters to what has the text, and what it lies below", () => {
    expect(kinds(none, "FROM T")).toEqual(["span", "span", "span", "span", "span"]);
    expect(kinds(none, "half")).toEqual(["span", "log"]);
    expect(kinds(none, "nowhere")).toEqual([]);
  });
});

describe("texts", () => {
  it("names a query by its statement and a site by its last parts", () => {
    expect(label(span({ sql: "SELECT\n  1" }))).toBe("SELECT 1");
    expect(site({ "code.file.path": "/a/b/shop/main.py", "code.line.number": 7 })).toBe("shop/main.py:7");
    expect(site({})).toBe("");
  });

  it.each([[999, "999 ns"], [1500, "1.50 µs"], [12_345_678, "12.3 ms"], [2e9, "2.00 s"], [61e9, "1 m 1 s"]])(
    "writes %d ns as %s",
    (ns, text) => expect(duration(ns)).toBe(text),
  );
});

describe("reveal", () => {
  it("opens what is collapsed, and the group, above a span", () => {
    const root = span();
    const middle = span({ below: root });
    const alike = [1, 2, 3].map((at) => span({ below: middle, at, sql: "SELECT 1" }));
    const tree = buildTree([root, middle, ...alike]);
    const wanted = tree.nodes.find((node) => node.span === alike[2])!;
    const collapsed = new Set([root.span_id]);
    const shown = (toggled: ReadonlySet<string>) =>
      rows(tree, { toggled, text: "" }).some((row) => row.key === wanted.span.span_id);
    expect(shown(collapsed)).toBe(false);
    expect(shown(reveal(wanted, collapsed))).toBe(true);
  });
});

describe("a chain of tasks, each made by the one before", () => {
  it("is shown however long it is", () => {
    const spans = [span({ name: "task first" })];
    for (let i = 1; i < 20_000; i++) spans.push(span({ below: spans[i - 1]!, at: i, status: 2 }));
    const tree = buildTree(spans);
    expect(tree.roots[0]!.failsBelow).toBe(true);
    expect(rows(tree, { toggled: none, text: "" })).toHaveLength(20_000);
    expect(rows(tree, { toggled: none, text: "first" })).toHaveLength(1);
  });
});

describe("label", () => {
  it("of a task with a long name is its end", () => {
    const attributes = { "asynchooks.kind": "task" };
    const name = "task starlette.middleware.base.call.<locals>.call_next.<locals>.coro";
    expect(label(span({ name, attributes }))).toBe("task call_next.coro");
    expect(label(span({ name: "task refresh", attributes }))).toBe("task refresh");
  });
});

describe("callers", () => {
  it("are read from the stack, from the inside out, without the line itself", () => {
    const stack = 'File "/srv/shop/orders.py", line 29, in orders\nFile "/srv/shop/helper.py", line 3, in run';
    expect(callers({ "code.stacktrace": stack })).toEqual([{ at: "shop/orders.py:29", name: "orders" }]);
    const comprehension = `File "/srv/shop/orders.py", line 29, in f\n${stack.replace("orders\n", "f.<listcomp>\n")}`;
    expect(callers({ "code.stacktrace": comprehension })).toEqual([{ at: "shop/orders.py:29", name: "f" }]);
    expect(callers({})).toEqual([]);
  });
});
