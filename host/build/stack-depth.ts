// How deep the stack can get: from the call graphs that gcc writes (-fcallgraph-info=su).
//
// What always holds: the figure is an upper bound, or there is none: recursion, a call through a pointer or a frame of
// unknown size makes it undefined. All interrupts have one priority, so at most one handler and the watchdog's NMI lie
// on top of the main program.

/** One function of the call graph. */
interface Node {
  /** Bytes of its frame; undefined when gcc does not know. */
  readonly frameBytes: number | undefined;
  readonly calls: Set<string>;
}

/** Deepest use of the stack, bytes. */
export interface StackDepth {
  /** Main program, handler and NMI on top of each other; undefined when it has no bound. */
  readonly totalBytes: number | undefined;
  /** The main program alone. */
  readonly mainBytes: number | undefined;
  /** Why there is no bound. */
  readonly unboundedBy: string | undefined;
  /** What a function of the core may use below the lowest address at which its body may begin. */
  readonly reserveBytes: number;
  /** The deepest chain of calls, outermost first. */
  readonly chain: readonly string[];
}

/** What an architecture adds to the frames that gcc knows (`exceptions` of a board). */
export interface StackRules {
  /** That the processor pushes for an exception, with alignment. */
  readonly frameBytes: number;
  /** gcc knows no frames of its own helpers in libgcc: what they push at most. */
  readonly helperBytes: number;
}

/**
 * @param rules
 * @param graphs contents of the .ci files
 * @param entry where the main program starts
 * @param handlers interrupt handlers, the NMI's aside
 * @param nmi the NMI's handler, where it has one
 * @param isCore whether a function, by the file it is in, belongs to the compiled core
 */
export function measureStack(
  rules: StackRules,
  graphs: readonly string[],
  entry: string,
  handlers: readonly string[],
  nmi: string | undefined,
  isCore: (title: string) => boolean,
): StackDepth {
  const nodes = readGraphs(graphs);
  const main = deepest(rules, nodes, entry);
  const above = exceptionsBytes(rules, nodes, handlers, nmi);
  const coreFrames = [...nodes].filter(([title]) => isCore(title)).map(([, node]) => node.frameBytes ?? 0);
  const trap = deepest(rules, nodes, 'wasm_rt_trap').bytes ?? 0;
  const reserveBytes = Math.max(0, ...coreFrames) + Math.max(trap, rules.helperBytes) + (above ?? 0);
  const bounded = main.bytes !== undefined && above !== undefined;
  return {
    totalBytes: bounded ? main.bytes! + above : undefined,
    mainBytes: main.bytes,
    unboundedBy: bounded ? undefined : main.why,
    reserveBytes,
    chain: main.chain,
  };
}

/** Whether every function of one compiled file has a bound, given that what it calls elsewhere has one. */
export function isStackBounded(graph: string): boolean {
  const nodes = readGraphs([graph]);
  const rules = { frameBytes: 0, helperBytes: 0 };
  return [...nodes.keys()].every((title) => deepest(rules, nodes, title).bytes !== undefined);
}

function exceptionsBytes(
  rules: StackRules,
  nodes: Map<string, Node>,
  handlers: readonly string[],
  nmi: string | undefined,
): number | undefined {
  const depths = handlers.map((handler) => deepest(rules, nodes, handler).bytes);
  const last = nmi === undefined ? 0 : deepest(rules, nodes, nmi).bytes;
  if (last === undefined || depths.includes(undefined)) return undefined;
  return Math.max(...depths.map((bytes) => bytes!)) + last + 2 * rules.frameBytes;
}

interface Depth {
  readonly bytes: number | undefined;
  readonly why?: string;
  readonly chain: readonly string[];
}

function deepest(rules: StackRules, nodes: Map<string, Node>, entry: string): Depth {
  const known = new Map<string, Depth>();
  const open = new Set<string>();
  const visit = (title: string): Depth => {
    const before = known.get(title);
    if (before) return before;
    const name = plainName(title);
    if (open.has(title)) return { bytes: undefined, why: `${name} calls itself`, chain: [name] };
    if (title === '__indirect_call') {
      return { bytes: undefined, why: 'a call through a pointer', chain: [name] };
    }
    const node = nodes.get(title);
    if (node === undefined) return { bytes: rules.helperBytes, chain: [name] };
    if (node.frameBytes === undefined) return { bytes: undefined, why: `${name} has no fixed frame`, chain: [name] };
    open.add(title);
    let below: Depth = { bytes: 0, chain: [] };
    for (const called of node.calls) {
      const depth = visit(called);
      if (below.bytes === undefined) break;
      if (depth.bytes === undefined || depth.bytes > below.bytes) below = depth;
    }
    open.delete(title);
    const bytes = below.bytes === undefined ? undefined : below.bytes + node.frameBytes;
    const result = { bytes, why: below.why, chain: [name, ...below.chain] };
    known.set(title, result);
    return result;
  };
  return visit(entry);
}

// Static functions carry their file's name: "obj/glue/loop.c:loop_wake_core".
function plainName(title: string): string {
  return title.slice(title.lastIndexOf(':') + 1);
}

function readGraphs(graphs: readonly string[]): Map<string, Node> {
  const nodes = new Map<string, Node>();
  for (const graph of graphs) {
    for (const [, title, label] of graph.matchAll(/^node: \{ title: "([^"]*)" label: "([^"]*)"/gm)) {
      // A node without a size is only called here and defined elsewhere.
      const frame = /\\n(\d+) bytes \((\w[\w, ]*)\)/.exec(label!);
      if (!frame) continue;
      const bounded = frame[2] === 'static' || frame[2]!.includes('bounded');
      nodes.set(title!, { frameBytes: bounded ? Number(frame[1]) : undefined, calls: new Set() });
    }
    for (const [, from, to] of graph.matchAll(/^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"/gm)) {
      nodes.get(from!)?.calls.add(to!);
    }
  }
  return nodes;
}
