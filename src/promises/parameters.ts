/** A parameter of a function, as it stands in its source. */
export interface Parameter {
  /** Not there for one that is taken apart: `{ id }`, `[first]`. */
  readonly name?: string;
  readonly isRest: boolean;
}

interface ReadParameter extends Parameter {
  readonly hasDefault: boolean;
}

/**
 * The parameters of a function, read from its source; `undefined` where that cannot tell them for certain: it is bound or
 * native, there is a slash that is no comment's before their end, or `length` says something else.
 */
export function parametersOf(fn: (...args: never) => unknown): readonly Parameter[] | undefined {
  const source = Function.prototype.toString.call(fn);
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source)) return undefined;
  const parameters = readParameters(new Scanner(source));
  const first = parameters?.findIndex(({ hasDefault, isRest }) => hasDefault || isRest) ?? -1;
  const length = first < 0 ? parameters?.length : first;
  return length === fn.length ? parameters : undefined;
}

function readParameters(scanner: Scanner): readonly ReadParameter[] | undefined {
  let before: string | undefined;
  let depth = 0;
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    if (token === '=>' && depth === 0) return before === undefined ? undefined : [parameter(before)];
    // A method may have a computed name: `[key('(')](a, b) {}`.
    if (token === '[') depth += 1;
    if (token === ']') depth -= 1;
    if (token === '(' && depth === 0) return readList(scanner);
    before = token;
  }
  return undefined;
}

/** After the parenthesis that opens it. */
function readList(scanner: Scanner): readonly ReadParameter[] | undefined {
  const parameters: ReadParameter[] = [];
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    if (token === ')') return parameters;
    const isRest = token === '...';
    const binding = isRest ? scanner.next() : token;
    if (binding === undefined) return undefined;
    let end = binding === '{' || binding === '[' ? skipTo(scanner, 1) : scanner.next();
    const hasDefault = end === '=';
    if (hasDefault) end = skipTo(scanner, 0);
    if (end !== ',' && end !== ')') return undefined;
    parameters.push({ ...parameter(binding), isRest, hasDefault });
    if (end === ')') return parameters;
  }
  return undefined;
}

/** An escape in a name would have to be read; whoever writes one can say the index. */
function parameter(binding: string): ReadParameter {
  const isName = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.test(binding);
  return { ...(isName && { name: binding }), isRest: false, hasDefault: false };
}

/** The first token behind what is open already, `depth` brackets, or behind an expression, which ends with a comma or bracket. */
function skipTo(scanner: Scanner, depth: number): string | undefined {
  const isExpression = depth === 0;
  let open = depth;
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    if (open === 0 && (token === ',' || token === ')')) return token;
    if (OPENING.has(token)) open += 1;
    if (CLOSING.has(token)) open -= 1;
    if (open === 0 && !isExpression) return scanner.next();
  }
  return undefined;
}

const OPENING = new Set(['(', '[', '{']);
const CLOSING = new Set([')', ']', '}']);

const BLANK = /(?:\s|\/\/.*|\/\*[\s\S]*?\*\/)+/y;
const WORD = /[#\p{ID_Start}$_\d][\p{ID_Continue}$\u200c\u200d]*/uy;
const STRING = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y;
/** A slash divides, or begins a regular expression, and it takes a whole parser to tell which; the others are comments in scripts. */
const UNCERTAIN = /\/|<!--|-->/y;
const SIGN = /\.\.\.|=>|[\s\S]/y;

/** Takes JavaScript apart, as far as it takes to find where a list of parameters ends. */
class Scanner {
  #at = 0;

  constructor(private readonly source: string) {}

  /** Strings and templates are one token each, and `undefined` is the end, or what cannot be read for certain. */
  next(): string | undefined {
    this.#read(BLANK);
    if (this.#at >= this.source.length || this.#read(UNCERTAIN) !== undefined) return undefined;
    if (this.source[this.#at] === '`') return this.#template();
    return this.#read(STRING) ?? this.#read(WORD) ?? this.#read(SIGN);
  }

  #template(): string | undefined {
    const start = this.#at;
    this.#at += 1;
    while (this.#at < this.source.length) {
      const sign = this.source[this.#at];
      if (sign === '`') {
        this.#at += 1;
        return this.source.slice(start, this.#at);
      }
      if (this.source.startsWith('${', this.#at)) {
        this.#at += 2;
        let open = 1;
        while (open > 0) {
          const token = this.next();
          if (token === undefined) return undefined;
          if (token === '{') open += 1;
          if (token === '}') open -= 1;
        }
      } else this.#at += sign === '\\' ? 2 : 1;
    }
    return undefined;
  }

  #read(what: RegExp): string | undefined {
    what.lastIndex = this.#at;
    const found = what.exec(this.source)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }
}
