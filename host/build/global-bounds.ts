// The largest value that each global of a compiled core ever has, so that it takes no more bytes than that: from the C that
// wasm2c writes, one statement a line.
//
// What always holds: a bound is never too low. What a statement of a form that is not known here gives is bounded by its
// type, and so is the stack where a loop begins. Where other ways meet, the stack has the larger of what they bring; a
// local, an argument or a result of a function has one bound, for all that is ever put there. The search begins with zeros
// and raises bounds until no statement raises one.

/** Of an i32. */
const most = 0xffff_ffff;
/** Arguments of a function. */
const argumentsMost = 32;

const operators = {
  '+': 'sum',
  '-': 'difference',
  '*': 'product',
  '&': 'both',
  '|': 'either',
  '^': 'either',
  '<<': 'left',
  '>>': 'right',
} as const;
type Operation = (typeof operators)[keyof typeof operators] | 'choice' | 'quotient' | 'rest';

/** A value that a statement puts somewhere: a constant, a place, or how places make it. */
type Value =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'place'; readonly place: string }
  | { readonly kind: Operation; readonly left: string; readonly right: string }
  | { readonly kind: 'call'; readonly called: string; readonly args: readonly string[] };

type Statement =
  | { readonly kind: 'put'; readonly place: string; readonly value: Value }
  | { readonly kind: 'return'; readonly place: string }
  | { readonly kind: 'begin' | 'else' | 'end' | 'loop' | 'trap' }
  /** `ends`: nothing is done behind it. */
  | { readonly kind: 'goto'; readonly label: string; readonly ends: boolean }
  | { readonly kind: 'label'; readonly label: string };

interface Function {
  readonly name: string;
  readonly statements: readonly Statement[];
}

/** Bounds of the stack's places; what is not there has none. */
type Stack = ReadonlyMap<string, number>;

const unknown: Value = { kind: 'constant', value: most };

/**
 * @param output C of a module, as wasm2c writes it
 * @returns the largest value of each global of 32 bits by its name in the C; empty where a function is called by a number
 */
export function boundGlobals(output: string): Map<string, number> {
  if (/^ .*\bCALL_INDIRECT\(\w|&w2c_\w+_f\d|&instance->w2c_g\d/m.test(output)) return new Map();
  const functions = readFunctions(output);
  const bounds = new Map<string, number>();
  const own = new Set([...output.matchAll(/^static \w+ (w2c_\w+)\([^)]*\);$/gm)].map(([, name]) => name!));
  for (const { name } of functions) {
    // Called from outside, with whatever it may be.
    if (!own.has(name)) for (let i = 0; i < argumentsMost; i++) bounds.set(`${name} var_p${i}`, most);
  }
  for (let raised = true; raised; ) {
    raised = false;
    const raise = (place: string, bound: number) => {
      if (bound <= (bounds.get(place) ?? 0)) return;
      bounds.set(place, roundUp(bound));
      raised = true;
    };
    for (const one of functions) follow(one, bounds, raise);
  }
  const globals = new Set([...output.matchAll(/\binstance->(w2c_g\d+)\b/g)].map(([, global]) => global!));
  return new Map([...globals].map((global) => [global, bounds.get(global) ?? 0]));
}

// To a power of two less one, so that what counts up ends soon.
function roundUp(bound: number): number {
  return bound === 0 ? 0 : 2 ** (32 - Math.clz32(bound)) - 1;
}

/** Raises what one run through a function can raise. */
function follow({ name, statements }: Function, bounds: Map<string, number>, raise: Raise): void {
  // `undefined`: no way comes here.
  let stack: Map<string, number> | undefined = new Map();
  const outer: { readonly before: Stack | undefined; first?: Stack | undefined; other?: boolean }[] = [];
  const goals = new Map<string, Stack>();
  const keyOf = (place: string) => (place.startsWith('w2c_g') ? place : `${name} ${place}`);
  const boundOf = (place: string) => (isStack(place) ? (stack?.get(place) ?? most) : (bounds.get(keyOf(place)) ?? 0));
  const resultOf = (called: string) => bounds.get(`${called} result`) ?? 0;
  for (const statement of statements) {
    switch (statement.kind) {
      case 'begin':
        outer.push({ before: stack && new Map(stack) });
        break;
      case 'else': {
        const one = outer.at(-1)!;
        one.first = stack;
        one.other = true;
        stack = one.before && new Map(one.before);
        break;
      }
      case 'end': {
        const one = outer.pop();
        if (one === undefined) throw new Error(`${name}: an end without a begin`);
        stack = meet(stack, one.other ? one.first : one.before);
        break;
      }
      case 'loop':
        stack = new Map();
        break;
      case 'goto':
        goals.set(statement.label, meet(goals.get(statement.label), stack) ?? new Map());
        if (statement.ends) stack = undefined;
        break;
      case 'label':
        // Without a way that is known to come here: it may be one that is not known.
        stack = meet(stack, goals.get(statement.label)) ?? new Map();
        break;
      case 'trap':
        stack = undefined;
        break;
      case 'return':
        raise(`${name} result`, boundOf(statement.place));
        stack = undefined;
        break;
      default: {
        const { place, value } = statement;
        if (value.kind === 'call') {
          for (const [i, arg] of value.args.entries()) raise(`${value.called} var_p${i}`, boundOf(arg));
        }
        const bound = boundOfValue(value, boundOf, resultOf);
        if (!isStack(place)) raise(keyOf(place), bound);
        else stack?.set(place, bound);
      }
    }
  }
}

type Raise = (place: string, bound: number) => void;

function meet(one: Stack | undefined, other: Stack | undefined): Map<string, number> | undefined {
  if (one === undefined || other === undefined) return one || other ? new Map(one ?? other) : undefined;
  const both = [...one].filter(([place]) => other.has(place));
  return new Map(both.map(([place, bound]) => [place, Math.max(bound, other.get(place)!)]));
}

const isStack = (place: string) => /^var_[ijfd]\d+$/.test(place);

function boundOfValue(value: Value, of: (place: string) => number, result: (called: string) => number): number {
  if (value.kind === 'constant') return value.value;
  if (value.kind === 'place') return of(value.place);
  if (value.kind === 'call') return result(value.called);
  const left = of(value.left);
  const right = of(value.right);
  // What is larger than an i32 wraps around.
  const whole = (bound: number) => Math.min(bound, most);
  switch (value.kind) {
    case 'sum':
      return whole(left + right);
    case 'product':
      return whole(left * right);
    case 'left':
      return right < 32 ? whole(left * 2 ** right) : most;
    case 'both':
    case 'rest':
      return Math.min(left, right);
    case 'either':
      return roundUp(Math.max(left, right));
    case 'choice':
      return Math.max(left, right);
    case 'right':
    case 'quotient':
      return left;
    case 'difference':
      return right === 0 ? left : most;
  }
}

function readFunctions(output: string): Function[] {
  const functions: Function[] = [];
  for (const [, name, body] of output.matchAll(
    /^\w[\w* ]*? \**((?:w2c_|init_globals)\w*)\([^()]*\) \{\n([\s\S]*?)^\}\n/gm,
  )) {
    functions.push({ name: name!, statements: body!.split('\n').flatMap((line) => readStatement(line.trim())) });
  }
  return functions;
}

function readStatement(line: string): Statement[] {
  const jump = /^(if \(\w+\) \{|case \d+: |default: )?goto (\w+);\}?$/.exec(line);
  if (jump) return [{ kind: 'goto', label: jump[2]!, ends: jump[1] === undefined }];
  if (/^(?:if|switch) \(.*\) \{$/.test(line)) return [{ kind: 'begin' }];
  if (line === '} else {') return [{ kind: 'else' }];
  if (line === '}') return [{ kind: 'end' }];
  const label = /^(var_(\w)\w*):(?: ?;)?(.*)$/.exec(line);
  if (label) return label[2] === 'L' ? [{ kind: 'loop' }] : [{ kind: 'label', label: label[1]! }];
  if (line === 'UNREACHABLE;') return [{ kind: 'trap' }];
  const returned = /^return (\w+);$/.exec(line);
  if (returned) return [{ kind: 'return', place: returned[1]! }];
  const put = /^(?:\w+ )?(?:instance->)?(\w+) ([-+*&|^/]|<<|>>)?= (.*);$/.exec(line);
  if (put) {
    const [, place, operator, right] = put;
    return [{ kind: 'put', place: place!, value: operator ? readChange(place!, operator, right!) : readValue(right!) }];
  }
  return /\bw2c_\w+\(/.test(line) ? [{ kind: 'put', place: '', value: readValue(line.slice(0, -1)) }] : [];
}

function readChange(left: string, operator: string, text: string): Value {
  const kind = operators[operator as keyof typeof operators];
  const right = /^(?:(\w+)|\((\w+) & 31\))$/.exec(text);
  return kind === undefined || right === null ? unknown : { kind, left, right: (right[1] ?? right[2])! };
}

const loaded: Readonly<Record<string, number>> = { i32_load8_u: 0xff, i32_load16_u: 0xffff };

function readValue(text: string): Value {
  const number = /^(\d+)u?$/.exec(text);
  if (number) return { kind: 'constant', value: Number(number[1]) };
  const place = /^(?:instance->)?(var_\w+|w2c_g\d+)$/.exec(text);
  if (place) return { kind: 'place', place: place[1]! };
  const choice = /^\w+ \? (\w+) : (\w+)$/.exec(text);
  if (choice) return { kind: 'choice', left: choice[1]!, right: choice[2]! };
  // Comparisons, also of what has a sign.
  if (/^!\(\w+\)$|^\w+ (?:[=!<>]=|[<>]) \w+$|^\(u(?:32|64)\)\(\(s\d+\)\w+ [<>]=? \(s\d+\)\w+\)$/.test(text)) {
    return { kind: 'constant', value: 1 };
  }
  const load = /^(i32_load(?:8|16)_u)_default32\([^()]*\((?:u64|u32)\)\(\w+\)(?: \+ \d+u?)?\)$/.exec(text);
  if (load) return { kind: 'constant', value: loaded[load[1]!]! };
  const divided = /^(DIV|REM)_U\((\w+), (\w+)\)$/.exec(text);
  if (divided) return { kind: divided[1] === 'DIV' ? 'quotient' : 'rest', left: divided[2]!, right: divided[3]! };
  const call = /^(w2c_\w+)\(instance((?:, \w+)*)\)$/.exec(text);
  return call ? { kind: 'call', called: call[1]!, args: call[2]!.split(', ').slice(1) } : unknown;
}
